import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';

import { parse as parseToml, TomlError } from 'smol-toml';

import type { Fault } from './faults.ts';
import type { OptionValue, Variables } from './values.ts';

/** Variables of a `.env` file. */
export interface DotEnv {
  readonly path: string;
  /** The path as its user knows it. */
  readonly shown: string;
  readonly values: Variables;
}

const DOT_ENV = '.env';

/** Reads `.env` in a directory; undefined when there is none. Variables of others in it are left alone. */
export function readDotEnv(directory: string, faults: Fault[]): DotEnv | undefined {
  const path = join(directory, DOT_ENV);
  if (!existsSync(path)) return undefined;
  try {
    return { path, shown: DOT_ENV, values: parseEnv(readFileSync(path, 'utf8')) };
  } catch (error) {
    faults.push({ key: DOT_ENV, problem: `cannot be read: ${messageOf(error)}` });
    return undefined;
  }
}

/** Reads a TOML file: its top-level keys as a user would write them in a flag. */
export function readConfigFile(
  { path, origin }: { readonly path: string; readonly origin: string },
  faults: Fault[],
): Readonly<Record<string, string>> {
  try {
    const table = parseToml(readFileSync(path, 'utf8'));
    const entries = Object.entries(table).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(textOf).join(',') : textOf(value),
    ]);
    return Object.fromEntries(entries) as Record<string, string>;
  } catch (error) {
    const problem = `names '${path}', which cannot be used: ${messageOf(error)}`;
    faults.push({ key: origin, problem });
    return {};
  }
}

/** Reads the file that holds a secret; the line end behind it is not part of it. */
export function readSecret(
  { text: path, origin }: OptionValue,
  faults: Fault[],
): OptionValue | undefined {
  try {
    return { text: readFileSync(path, 'utf8').trimEnd(), origin, file: path };
  } catch {
    faults.push({ key: origin, problem: `names '${path}', which cannot be read` });
    return undefined;
  }
}

/** A syntax error quotes the line it is on, which may hold a secret: only the place is told. */
function messageOf(error: unknown): string {
  if (error instanceof TomlError) {
    return `it is not TOML at line ${String(error.line)}, column ${String(error.column)}`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** A plain value as a user would write it; tables and dates become JSON, which no option takes. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
