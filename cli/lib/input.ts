import { readFileSync } from 'node:fs';

import { password as askPassword } from '@inquirer/prompts';

import { environment } from '../../src/config/environment.ts';

/** Reads an argument that is JSON itself, `@file`, or `-` for standard input. */
export function readJson(argument: string, name: string): unknown {
  const text = readText(argument);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${name} is not JSON: ${problem}`, { cause });
  }
}

/** Reads an argument that is a JSON object, in any of the ways of `readJson`. */
export function readObject(argument: string, name: string): Record<string, unknown> {
  const value = readJson(argument, name);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new Error(`${name} is not a JSON object`);
}

function readText(argument: string): string {
  if (argument === '-') return readFileSync(0, 'utf8');
  return argument.startsWith('@') ? readFileSync(argument.slice(1), 'utf8') : argument;
}

/** A password from a file, from MOLTEN_PASSWORD, or asked for; never from an argument. */
export async function readPassword(file: string | undefined): Promise<string> {
  if (file !== undefined) return readFileSync(file, 'utf8').trimEnd();
  const variable = environment()['MOLTEN_PASSWORD'];
  if (variable !== undefined) return variable;
  if (!process.stdin.isTTY) {
    throw new Error(
      'there is no terminal to ask for the password; use --password-file or MOLTEN_PASSWORD',
    );
  }
  return await askPassword({ message: 'Password', mask: true });
}
