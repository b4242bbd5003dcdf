/**
 * What the tests of one file overhear: every secret that was given, sent or answered, and everything that
 * servers printed. At the end of each file of end-to-end tests the one is looked for in the other.
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

import { OPTIONS, variableOf } from '../../src/config/options.ts';
import { readConfigFile, readDotEnv } from '../../src/config/source-files.ts';

const SECRET_CHARS_MIN = 8;
const FILE_BYTES_MAX = 65_536;
const NAME = /^(.*token|.*secret|.*password|.*codes?|challenge|apiKey|key|uri|text)$/i;
/** By what they look like, wherever they are: tokens, API keys, refresh tokens, second factors. */
const FORM = /\b(?:eyJ[\w-]+\.[\w-]+\.[\w-]+|mk_(?:live|test)_\w{40,}|mr_[\w-]{20,}|otpauth:\S+)/g;
/** Options that name a file with a secret in it. */
const FILE_NAME = /^.*(secret|password|passphrase|token|key|secret-id|identity)-file$/;

const CREDENTIAL_HEADERS = ['authorization', 'x-api-key', 'cookie', 'x-csrf-token'];

const secrets = new Set<string>();
const logs: (() => string)[] = [];

/** Every secret that a body holds, by the names of its members. */
export function secretsIn(value: unknown, name = ''): readonly string[] {
  if (typeof value === 'string') return NAME.test(name) && value.length > 5 ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((one) => secretsIn(one, name));
  return Object.entries(value).flatMap(([member, inner]) => secretsIn(inner, member));
}

/** Remembers a secret; what is shorter than eight characters is a word of many messages. */
export function overhearSecret(text: string): void {
  if (text.length >= SECRET_CHARS_MIN) secrets.add(text);
}

/** Remembers what looks like a credential in a text. */
export function overhearText(text: string): void {
  for (const found of text.match(FORM) ?? []) overhearSecret(found);
}

/** Remembers the secrets that a process is given: as variables, as flags, in files, and in `.env` where it starts. */
export function overhearStart(
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
  directory = '.',
): void {
  overhearVariables(readDotEnv(directory, [])?.values ?? {});
  overhearVariables(variables);
  for (const [at, flag] of args.entries()) {
    const value = args[at + 1] ?? '';
    if (flag === '--config') overhearConfig(resolve(directory, value), directory);
    else if (flag.startsWith('--')) overhearOption(flag.slice(2), value, directory);
  }
}

const OWN: readonly string[] = OPTIONS.filter(({ isSecret }) => isSecret).map(({ name }) => name);

function overhearVariables(given: Readonly<Record<string, string | undefined>>): void {
  const names = [...OWN.map(variableOf), 'MOLTEN_TOKEN', 'MOLTEN_PASSWORD'];
  for (const name of names) overhearSecret(given[name] ?? '');
}

function overhearConfig(path: string, directory: string): void {
  for (const [name, value] of Object.entries(readConfigFile({ path, origin: '--config' }, []))) {
    overhearOption(name, value, directory);
  }
}

function overhearOption(name: string, value: string, directory: string): void {
  if (OWN.includes(name)) overhearSecret(value);
  if (FILE_NAME.test(name)) overhearFile(resolve(directory, value));
}

/** Credentials among the headers of a request. */
export function overhearHeaders(headers: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!CREDENTIAL_HEADERS.includes(name.toLowerCase())) continue;
    overhearSecret(String(value).replace(/^(Bearer|Basic) /i, ''));
  }
}

/** Remembers what is in a file of secrets. */
export function overhearFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size > FILE_BYTES_MAX) return;
  overhearSecret(readFileSync(path, 'utf8').trim());
}

/** Remembers where what a process prints can be read. */
export function overhearLog(read: () => string): void {
  logs.push(read);
}

/** Secrets that a server has printed, each with the line that holds it. */
export function leaked(): readonly string[] {
  const all = logged();
  const found = [...secrets].filter((secret) => all.includes(secret));
  return found.map((secret) => `${secret} in: ${lineWith(all, secret)}`);
}

/** How much there was to look at. */
export function overheard(): { readonly secrets: number; readonly logged: number } {
  return { secrets: secrets.size, logged: logged().length };
}

function logged(): string {
  return logs.map((read) => read()).join('\n');
}

function lineWith(text: string, part: string): string {
  const at = text.indexOf(part);
  const end = text.indexOf('\n', at);
  return text.slice(text.lastIndexOf('\n', at) + 1, end < 0 ? undefined : end);
}
