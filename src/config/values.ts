import { readFileSync } from 'node:fs';

import { parse as parseToml } from 'smol-toml';

import { ConfigError, type Fault } from './faults.ts';
import { nearest } from '../platform/nearest.ts';
import { CONFIG_OPTION, OPTIONS, variableOf, VARIABLE_PREFIX } from './options.ts';
import type { Option } from './option.ts';

/** What a command line gave: names without dashes. */
export type FlagValues = Readonly<Record<string, string | boolean | undefined>>;

/** Where a configuration comes from. */
export interface Sources {
  readonly flags: FlagValues;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The text of an option and where it came from. */
export interface OptionValue {
  readonly text: string;
  /** `--port`, `MOLTENDB_PORT`, `port in molten.toml` or `default`. */
  readonly origin: string;
}

/** Every option that has a value, by name. */
export type OptionValues = ReadonlyMap<string, OptionValue>;

/**
 * Finds the value of each option: flag, variable, file, default, in this order. ConfigError names every
 * unknown variable or key with the nearest known one, and every file that cannot be read.
 */
export function collectValues(sources: Sources): OptionValues {
  const faults: Fault[] = [...unknownVariables(sources.environment)];
  const file = readFile(sources, faults);
  const values = new Map<string, OptionValue>();
  for (const option of OPTIONS) {
    const value = findValue(option, { ...sources, file }, faults);
    if (value !== undefined) values.set(option.name, value);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return values;
}

interface AllSources extends Sources {
  readonly file: ConfigFile;
}

interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, string>>;
}

function findValue(option: Option, sources: AllSources, faults: Fault[]): OptionValue | undefined {
  const { name, fallback } = option;
  const given = lookUp(name, sources);
  const fromFile = option.isSecret === true ? lookUp(`${name}-file`, sources) : undefined;
  if (given !== undefined && fromFile !== undefined) {
    faults.push({ key: fromFile.origin, problem: `and ${given.origin} are both given; give one` });
  }
  if (given !== undefined) return given;
  if (fromFile !== undefined) return readSecret(fromFile, faults);
  return fallback === undefined ? undefined : { text: fallback, origin: 'default' };
}

function lookUp(name: string, { flags, environment, file }: AllSources): OptionValue | undefined {
  const flag = flags[name];
  if (flag !== undefined) return { text: String(flag), origin: `--${name}` };
  const variable = variableOf(name);
  const text = environment[variable];
  if (text !== undefined && text !== '') return { text, origin: variable };
  const value = file.values[name];
  return value === undefined ? undefined : { text: value, origin: `${name} in ${file.path}` };
}

function readSecret({ text: path, origin }: OptionValue, faults: Fault[]): OptionValue | undefined {
  try {
    return { text: readFileSync(path, 'utf8').trimEnd(), origin };
  } catch {
    faults.push({ key: origin, problem: `names '${path}', which cannot be read` });
    return undefined;
  }
}

const KNOWN_NAMES: readonly string[] = OPTIONS.flatMap(({ name, isSecret }) =>
  isSecret === true ? [name, `${name}-file`] : [name],
);

function unknownVariables(environment: Sources['environment']): readonly Fault[] {
  const known = [...KNOWN_NAMES, CONFIG_OPTION.name].map(variableOf);
  return Object.keys(environment)
    .filter((name) => name.startsWith(VARIABLE_PREFIX) && !known.includes(name))
    .map((name) => ({ key: name, problem: unknown(name, known) }));
}

function readFile({ flags, environment }: Sources, faults: Fault[]): ConfigFile {
  const named = flags[CONFIG_OPTION.name] ?? environment[variableOf(CONFIG_OPTION.name)];
  if (named === undefined || named === '') return { path: '', values: {} };
  const path = String(named);
  try {
    const table = parseToml(readFileSync(path, 'utf8'));
    const values: Record<string, string> = {};
    for (const [name, value] of Object.entries(table)) {
      if (!KNOWN_NAMES.includes(name)) {
        faults.push({ key: `${name} in ${path}`, problem: unknown(name, KNOWN_NAMES) });
      } else {
        values[name] = Array.isArray(value) ? value.map(textOf).join(',') : textOf(value);
      }
    }
    return { path, values };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    faults.push({ key: '--config', problem: `names '${path}', which cannot be used: ${problem}` });
    return { path, values: {} };
  }
}

function unknown(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? 'is unknown' : `is unknown; did you mean ${near}?`;
}

/** A plain value as a user would write it; tables and dates become JSON, which no option takes. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
