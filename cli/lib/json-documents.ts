/**
 * Reads documents from a file as a stream: a JSON list of objects, a JSON object of objects by key, or
 * one object a line. Memory holds one document at a time, whatever the size of the file.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { JSONParser } from '@streamparser/json';

/** A document from a file. */
export interface FileDocument {
  /** The name it had in an object of objects. */
  readonly name: string | undefined;
  readonly value: Record<string, unknown>;
  /** Counted from 1. */
  readonly number: number;
}

/** Reads the documents of a file; `-` is standard input. `format` undefined: by the first character. */
export async function* readDocuments(
  file: string,
  format: 'json' | 'ndjson' | undefined,
): AsyncIterable<FileDocument> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  const isLines = format === 'ndjson' || (format === undefined && /\.(ndjson|jsonl)$/.test(file));
  yield* isLines ? readLines(stream) : readJsonStream(stream);
}

async function* readLines(stream: Readable): AsyncIterable<FileDocument> {
  let number = 0;
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    number += 1;
    yield { name: undefined, value: asObject(parseLine(line, number), number), number };
  }
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Error(`document ${String(number)} is not JSON`, { cause });
  }
}

async function* readJsonStream(stream: Readable): AsyncIterable<FileDocument> {
  const parser = new JSONParser({ paths: ['$.*'], keepStack: false });
  let ready: FileDocument[] = [];
  let number = 0;
  let failure: Error | undefined;
  parser.onValue = ({ value, key }): void => {
    number += 1;
    const name = typeof key === 'string' ? key : undefined;
    ready.push({ name, value: value as unknown as Record<string, unknown>, number });
  };
  parser.onError = (error): void => {
    failure ??= error;
  };
  for await (const chunk of stream) {
    parser.write(chunk as Uint8Array);
    if (failure !== undefined)
      throw new Error(`the file is not JSON: ${failure.message}`, { cause: failure });
    for (const document of ready) {
      yield { ...document, value: asObject(document.value, document.number) };
    }
    ready = [];
  }
}

function asObject(value: unknown, number: number): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new Error(`document ${String(number)} is not a JSON object`);
}
