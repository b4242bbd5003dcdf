import type { Json } from '../types.ts';

/** The part of JSON that keeps the digits of numbers (the proposal JSON.parse source text access). */
interface ExactJson {
  parse(text: string, reviver: (name: string, value: unknown, source: Source) => unknown): unknown;
  rawJSON(text: string): object;
  isRawJSON(value: unknown): boolean;
}

interface Source {
  /** The text of a primitive; absent for objects and lists. */
  readonly source?: string;
}

// The declarations of TypeScript do not have it yet; Node does.
const exact = JSON as unknown as ExactJson;

/**
 * Parses JSON so that writing it again gives every number as it was: one that a double would write in
 * another way is an opaque value, told by `isExactNumber`.
 */
export function parseExact(text: string): Json {
  const value = exact.parse(text, (_name, member, { source }) =>
    typeof member === 'number' && source !== undefined && String(member) !== source
      ? exact.rawJSON(source)
      : member,
  );
  // Whatever JSON.parse gives is JSON; the opaque numbers are written as such.
  return value as Json;
}

/** Reports whether a value is a number that `parseExact` kept as text. */
export function isExactNumber(value: unknown): boolean {
  return exact.isRawJSON(value);
}
