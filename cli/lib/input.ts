import { readFileSync } from 'node:fs';

import { Errors } from '@oclif/core';

import { EXIT } from './exit-codes.ts';

/** Reads an argument that is JSON itself, `@file`, or `-` for standard input. */
export function readJson(argument: string, name: string): unknown {
  const text = readText(argument);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw usageError(`${name} is not JSON: ${problem}`);
  }
}

/** Reads an argument that is a JSON object, in any of the ways of `readJson`. */
export function readObject(argument: string, name: string): Record<string, unknown> {
  const value = readJson(argument, name);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw usageError(`${name} is not a JSON object`);
}

function readText(argument: string): string {
  if (argument === '-') return readFileSync(0, 'utf8');
  return argument.startsWith('@') ? readArgumentFile(argument.slice(1)) : argument;
}

/** Reads a file that the caller names; `origin` is what named it, where that does not show. */
export function readArgumentFile(path: string, origin?: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    const named = origin === undefined ? '' : `${origin}: `;
    throw usageError(`${named}'${path}' cannot be read: ${problem}`);
  }
}

/** A command line that cannot be used; the command ends with the exit code for that. */
export function usageError(message: string): Error {
  return new Errors.CLIError(message, { exit: EXIT.usage });
}

/** A secret from a file, without the newline that editors put behind it. */
export function readSecretFile(path: string): string {
  const secret = readArgumentFile(path).trimEnd();
  if (secret !== '') return secret;
  throw usageError(`'${path}' is empty`);
}

/** A whole number in a flag, such as a sequence, a version or the number of a record. */
export function wholeIn(text: string, name: string): bigint {
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) return BigInt(text);
  throw usageError(`${name} is '${text}'; wants a whole number`);
}

/** The id of an API key in an argument; its text is a secret, and others can read arguments. */
export function apiKeyIdIn(argument: unknown): string {
  const id = String(argument);
  if (!id.startsWith('mk_')) return id;
  throw usageError('give the id of the key, the third part of its text, and not the text itself');
}

/** A moment in a flag, in milliseconds: Unix milliseconds, or RFC 3339. */
export function momentIn(text: string, name: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isFinite(value)) return value;
  throw usageError(
    `${name} is '${text}'; wants Unix milliseconds, or a time such as 2026-01-31T23:59:59Z`,
  );
}

/** A path and its order in an argument: `path`, `path:asc` or `path:desc`. */
export function sortKeyIn(
  text: string,
  name: string,
): { readonly path: string; readonly isDescending: boolean } {
  const [path = '', order = 'asc'] = text.split(':');
  if (order === 'asc' || order === 'desc') return { path, isDescending: order === 'desc' };
  throw usageError(`${name} is '${text}'; wants path, path:asc or path:desc`);
}
