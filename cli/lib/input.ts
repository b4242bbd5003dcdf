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

function readArgumentFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw usageError(`'${path}' cannot be read: ${problem}`);
  }
}

/** A command line that cannot be used; the command ends with the exit code for that. */
export function usageError(message: string): Error {
  return new Errors.CLIError(message, { exit: EXIT.usage });
}

/** A secret from a file, without the newline that editors put behind it. */
export function readSecretFile(path: string): string {
  return readArgumentFile(path).trimEnd();
}
