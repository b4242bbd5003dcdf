import { nearest } from '../platform/nearest.ts';
import type { Fault } from './faults.ts';
import { maskUrls } from './mask-urls.ts';
import type { Option } from './option.ts';
import { CONFIG_OPTION, formsOf, OPTIONS, variableOf, VARIABLE_PREFIX } from './options.ts';
import { withoutServiceLinks } from './service-links.ts';
import { readConfigFile, readDotEnv, readSecret } from './source-files.ts';

/** What a command line gave: names without dashes. */
export type FlagValues = Readonly<Record<string, string | boolean | undefined>>;

/** Variables by name. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** Where a configuration comes from. */
export interface Sources {
  readonly flags: FlagValues;
  readonly environment: Variables;
  /** Where `.env` is looked for. Absent: nowhere. */
  readonly directory?: string;
  /** What Vault said, by reference. Absent: it was not asked. */
  readonly vault?: ReadonlyMap<string, VaultAnswer>;
  /** What is wrong with the command line itself. */
  readonly faults?: readonly Fault[];
}

/** A secret of Vault, or why there is none. */
export type VaultAnswer = { readonly text: string } | { readonly problem: string };

/** The text of an option and where it came from. */
export interface OptionValue {
  readonly text: string;
  /** `--port`, `MOLTENDB_PORT`, `MOLTENDB_PORT in .env`, `port in molten.toml` or `default`. */
  readonly origin: string;
  /** The file that holds the text. Absent: none does. */
  readonly file?: string;
}

/** Every option that has a value, by name. */
export type OptionValues = ReadonlyMap<string, OptionValue>;

/** What the sources say, and everything in them that cannot be used. */
export interface Collected {
  readonly values: OptionValues;
  readonly faults: readonly Fault[];
  /** What is named in Vault. */
  readonly references: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Finds the value of each option: flag, variable, `.env`, file, default, in this order. The faults name
 * every unknown flag, variable or key with the nearest known one, and every file that cannot be read.
 */
export function collectValues(sources: Sources): Collected {
  const faults: Fault[] = [...(sources.faults ?? [])];
  const { variables, warnings } = withoutServiceLinks(sources.environment);
  const layers = layersOf({ ...sources, environment: variables }, faults);
  const values = new Map<string, OptionValue>();
  const references: string[] = [];
  const fromVault = (value: OptionValue): OptionValue | undefined => {
    references.push(value.text);
    return answerOf(value, sources, faults);
  };
  for (const option of OPTIONS) {
    const value = findValue(option, layers, { faults, fromVault });
    if (value !== undefined) values.set(option.name, value);
  }
  const told = faults.map(({ key, problem }) => ({
    key: maskUrls(key),
    problem: maskUrls(problem),
  }));
  return { values, faults: told, references, warnings };
}

/** What Vault said of a reference; its fault when that is nothing of use. */
function answerOf(
  { text, origin }: OptionValue,
  { vault }: Sources,
  faults: Fault[],
): OptionValue | undefined {
  const answer = vault?.get(text) ?? {
    problem: 'was not read from Vault: see --vault-address, or restart the server',
  };
  if ('text' in answer) return { text: answer.text, origin };
  faults.push({ key: origin, problem: answer.problem });
  return undefined;
}

/** Answers for one kind of source, by the name of an option. */
type Layer = (name: string) => OptionValue | undefined;

function layersOf({ flags, environment, directory }: Sources, faults: Fault[]): readonly Layer[] {
  const dotEnv = directory === undefined ? undefined : readDotEnv(directory, faults);
  const own: readonly Layer[] = [
    (name) => {
      const flag = flags[name];
      return flag === undefined ? undefined : { text: String(flag), origin: `--${name}` };
    },
    (name) => firstVariable(environment, name),
    (name) => {
      const value = firstVariable(dotEnv?.values ?? {}, name);
      if (value === undefined || dotEnv === undefined) return undefined;
      return { ...value, origin: `${value.origin} in ${dotEnv.shown}`, file: dotEnv.path };
    },
  ];
  faults.push(...unknownVariables(environment, ''));
  if (dotEnv !== undefined) faults.push(...unknownVariables(dotEnv.values, ` in ${dotEnv.shown}`));
  const named = firstOf(own, CONFIG_OPTION.name);
  if (named === undefined) return own;
  const { text: path, origin } = named;
  const file = readConfigFile({ path, origin }, faults);
  for (const name of Object.keys(file)) {
    if (KNOWN_NAMES.includes(name)) continue;
    faults.push({ key: `${name} in ${path}`, problem: unknown(name, KNOWN_NAMES) });
  }
  const inFile: Layer = (name) => {
    const text = file[name];
    return text === undefined ? undefined : { text, origin: `${name} in ${path}`, file: path };
  };
  return [...own, inFile];
}

function firstOf(layers: readonly Layer[], name: string): OptionValue | undefined {
  for (const layer of layers) {
    const value = layer(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** An empty variable counts as none: that is how a script takes one back. */
function ofVariable(variables: Variables, name: string): OptionValue | undefined {
  const text = variables[name];
  return text === undefined || text === '' ? undefined : { text, origin: name };
}

/** What MoltenDB 1.0 called some variables, by the option. */
const FORMER_VARIABLES: ReadonlyMap<string, string> = new Map(
  OPTIONS.flatMap(({ name, formerName }) =>
    formerName === undefined ? [] : [[name, variableOf(formerName)] as const],
  ),
);

function firstVariable(variables: Variables, name: string): OptionValue | undefined {
  const former = FORMER_VARIABLES.get(name);
  const value = ofVariable(variables, variableOf(name));
  return value ?? (former === undefined ? undefined : ofVariable(variables, former));
}

interface Reading {
  readonly faults: Fault[];
  readonly fromVault: (value: OptionValue) => OptionValue | undefined;
}

function findValue(
  option: Option,
  layers: readonly Layer[],
  reading: Reading,
): OptionValue | undefined {
  const { name, fallback, isSecret } = option;
  const byDefault = fallback === undefined ? undefined : { text: fallback, origin: 'default' };
  if (isSecret !== true) return firstOf(layers, name) ?? byDefault;
  // The nearest source wins with whichever form it has; only several in one source are a fault.
  for (const layer of layers) {
    const given = [name, ...formsOf(option)].flatMap((form) => {
      const value = layer(form);
      return value === undefined ? [] : [{ form, value }];
    });
    const [first, second] = given;
    if (first === undefined) continue;
    if (second !== undefined) {
      const problem = `and ${first.value.origin} are both given; give one`;
      reading.faults.push({ key: second.value.origin, problem });
    }
    if (first.form === name) return first.value;
    return first.form === `${name}-file`
      ? readSecret(first.value, reading.faults)
      : reading.fromVault(first.value);
  }
  return byDefault;
}

/** The names that files and flags take. */
const KNOWN_NAMES: readonly string[] = OPTIONS.flatMap((option) => [
  option.name,
  ...formsOf(option),
]);

function unknownVariables(variables: Variables, where: string): readonly Fault[] {
  const known = [
    ...[...KNOWN_NAMES, CONFIG_OPTION.name].map(variableOf),
    ...FORMER_VARIABLES.values(),
  ];
  return Object.keys(variables)
    .filter((name) => name.startsWith(VARIABLE_PREFIX) && !known.includes(name))
    .map((name) => ({ key: `${name}${where}`, problem: unknown(name, known) }));
}

/** What is said of a name that is not known: the nearest that is. */
export function unknown(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? 'is unknown' : `is unknown; did you mean ${near}?`;
}
