/**
 * Secrets on their way in: from a file, from standard input, from a variable, or asked for; never from
 * an argument or the value of a flag, which others on the machine can read.
 */
import { createInterface } from 'node:readline';

import { input as askText, password as askPassword } from '@inquirer/prompts';
import { Flags, type Interfaces } from '@oclif/core';

import { variable } from '../../src/config/environment.ts';
import { readSecretFile, usageError } from './input.ts';

/** The flags of commands that take a password. */
export const passwordFlags: Interfaces.FlagInput = {
  'password-file': Flags.string({
    description: 'A file with the password. Otherwise it is asked for.',
    exclusive: ['password-stdin'],
  }),
  'password-stdin': Flags.boolean({
    description: 'The password is the next line of standard input.',
  }),
};

/** The flags of commands that take a code of a second factor. */
export const codeFlags: Interfaces.FlagInput = {
  'code-file': Flags.string({
    description: 'A file with the code of the second factor. Otherwise it is asked for.',
    exclusive: ['code-stdin'],
  }),
  'code-stdin': Flags.boolean({ description: 'The code is the next line of standard input.' }),
};

/** Parsed flags. */
export type AnyFlags = Readonly<Record<string, unknown>>;

/** Prompts are no answers: standard output may be a pipe. */
export const PROMPT: { readonly output: NodeJS.WritableStream } = { output: process.stderr };

/** The password of the caller, by `--password-file`, `--password-stdin`, MOLTEN_PASSWORD or a prompt. */
export async function readPassword(flags: AnyFlags): Promise<string> {
  const given = await readGiven(flags, 'password');
  const secret = given ?? variable('MOLTEN_PASSWORD');
  if (secret !== undefined) return secret;
  demandTerminal('password', '--password-file, --password-stdin or MOLTEN_PASSWORD');
  return await askPassword({ message: 'Password', mask: true }, PROMPT);
}

/** A password that is to be set: asked for twice, because nobody sees what is typed. */
export async function readNewPassword(flags: AnyFlags, name = 'password'): Promise<string> {
  const given = await readGiven(flags, name);
  if (given !== undefined) return given;
  demandTerminal('new password', `--${name}-file or --${name}-stdin`);
  const password = await askPassword({ message: 'New password', mask: true }, PROMPT);
  const again = await askPassword({ message: 'The same again', mask: true }, PROMPT);
  if (again === password) return password;
  throw usageError('the two passwords are not the same');
}

/**
 * The password of a database, by `--<name>-file`, the variables of a server, or a prompt; undefined where
 * nobody can be asked, for databases that want none.
 */
export async function readDatabasePassword(
  flags: AnyFlags,
  name: string,
): Promise<string | undefined> {
  const given = (await readGiven(flags, name)) ?? variable('MOLTENDB_STORAGE_PASSWORD');
  if (given !== undefined) return given;
  const file = variable('MOLTENDB_STORAGE_PASSWORD_FILE');
  if (file !== undefined) return readSecretFile(file);
  if (!process.stdin.isTTY) return undefined;
  return await askPassword({ message: `Database password (--${name}-file)`, mask: true }, PROMPT);
}

/** A code of a second factor, by `--code-file`, `--code-stdin` or a prompt. */
export async function readCode(
  flags: AnyFlags,
  message = 'Code of the device, or a recovery code',
): Promise<string> {
  const given = await readGiven(flags, 'code');
  if (given !== undefined) return given.trim();
  demandTerminal('code of the second factor', '--code-file or --code-stdin');
  return (await askText({ message }, PROMPT)).trim();
}

/** The secret that `--<name>-file` or `--<name>-stdin` gives. */
async function readGiven(flags: AnyFlags, name: string): Promise<string | undefined> {
  const file = flags[`${name}-file`];
  if (typeof file === 'string') return readSecretFile(file);
  return flags[`${name}-stdin`] === true ? await readLine(name) : undefined;
}

/** The next line of standard input, so that a script can give one secret after the other. */
export async function readLine(name: string): Promise<string> {
  lines ??= createInterface({ input: process.stdin, crlfDelay: Infinity })[Symbol.asyncIterator]();
  keepOpen(true);
  const { value } = await lines.next();
  keepOpen(false);
  if (value !== undefined && value !== '') return value;
  throw usageError(`the line of standard input for the ${name} is empty`);
}

let lines: AsyncIterator<string, undefined> | undefined;

/** A pipe that its writer leaves open keeps the command only while a line is waited for. */
function keepOpen(isOpen: boolean): void {
  const stream: { ref?: () => unknown; unref?: () => unknown } = process.stdin;
  if (isOpen) stream.ref?.();
  else stream.unref?.();
}

function demandTerminal(what: string, flags: string): void {
  if (process.stdin.isTTY) return;
  throw usageError(`there is no terminal to ask for the ${what}; use ${flags}`);
}
