/**
 * Reads documents from a file as a stream: a JSON list of objects, a JSON object of objects by key, or
 * one object a line. Memory holds one document at a time, whatever the size of the file.
 */
import { JSONParser } from '@streamparser/json';

/** A document from a file. */
export interface FileDocument {
  /** The name it had in an object of objects. */
  readonly name: string | undefined;
  readonly value: Record<string, unknown>;
  /** Counted from 1. */
  readonly number: number;
}

/** What a file holds: JSON as a whole, or a JSON object a line. */
export type Format = 'json' | 'ndjson';

/** The format that the name of a file says, encrypted (`.age`) or not; undefined: what it holds says. */
export function formatOf(file: string): Format | undefined {
  return /\.(ndjson|jsonl)(\.age)?$/.test(file) ? 'ndjson' : undefined;
}

/** What everything starts with that `docs export` has written. */
const EXPORT_HEAD = '{"_key":';

/** Reads the documents of a file. Without a format, what an export starts with is one object a line. */
export async function* readDocuments(
  content: AsyncIterable<Uint8Array>,
  format: Format | undefined,
): AsyncIterable<FileDocument> {
  const iterator = content[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  for (let isOver = false; head.length < EXPORT_HEAD.length && !isOver;) {
    const next = await iterator.next();
    isOver = next.done === true;
    if (next.done !== true) head = Buffer.concat([head, next.value]);
  }
  const isExport = head.toString('latin1').startsWith(EXPORT_HEAD);
  const whole = resume(head, iterator);
  const isLines = format === undefined ? isExport : format === 'ndjson';
  yield* isLines ? readLines(whole) : readJsonStream(whole);
}

async function* resume(
  head: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  yield head;
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    yield next.value;
  }
}

async function* readLines(content: AsyncIterable<Uint8Array>): AsyncIterable<FileDocument> {
  let number = 0;
  for await (const line of splitLines(content)) {
    if (line.trim() === '') continue;
    number += 1;
    yield { name: undefined, value: asObject(parseLine(line, number), number), number };
  }
}

/** As `readline` does, which would not hand on what ends the content with an error. */
async function* splitLines(content: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of content) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_CHARS_MAX) {
      throw new Error(`a line is longer than ${String(LINE_CHARS_MAX)} characters`);
    }
    yield* lines;
  }
  yield rest + decoder.decode();
}

/** More than the largest document that a server can be told to take. */
const LINE_CHARS_MAX = 128 * 1024 * 1024;

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Error(`document ${String(number)} is not JSON`, { cause });
  }
}

async function* readJsonStream(content: AsyncIterable<Uint8Array>): AsyncIterable<FileDocument> {
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
  for await (const chunk of content) {
    parser.write(chunk);
    if (failure !== undefined)
      throw new Error(`the file is not JSON: ${failure.message}`, { cause: failure });
    for (const document of ready) {
      yield { ...document, value: asObject(document.value, document.number) };
    }
    ready = [];
  }
  if (!parser.isEnded) throw new Error('the file is not JSON: it ends too early');
}

function asObject(value: unknown, number: number): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new Error(`document ${String(number)} is not a JSON object`);
}
