import { nearest } from '../../platform/nearest.ts';
import { isArray, isObject } from '../../storage/query/path.ts';
import type { Json, JsonObject } from '../../storage/types.ts';
import { nameOf, refuse } from './refuse.ts';

/** How many items a list argument may have. */
export interface ListBounds {
  readonly field: string;
  readonly itemsMin?: number;
  readonly itemsMax: number;
}

/** A list argument; absent is the empty list. ARGUMENT_INVALID when it is no list or too long. */
export function wantList(value: unknown, bounds: ListBounds): readonly Json[] {
  const { field, itemsMin = 0, itemsMax } = bounds;
  const items = value === undefined ? [] : value;
  const isInBounds = isArray(items) && items.length >= itemsMin && items.length <= itemsMax;
  if (isInBounds) return items;
  const wanted = `a list of ${String(itemsMin)} to ${String(itemsMax)} items`;
  throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants ${wanted}`);
}

/** An object argument with no member but `known`. ARGUMENT_INVALID names the first other one. */
export function wantObject(value: unknown, field: string, known: readonly string[]): JsonObject {
  if (!isObject(value)) {
    throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants an object`);
  }
  for (const name of Object.keys(value)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
    throw refuse('ARGUMENT_INVALID', `${field}.${name}`, `is an unknown property; ${hint}`);
  }
  return value;
}

/** A whole number between two bounds, both inclusive. */
export function wantWhole(
  value: unknown,
  { field, min, max }: { readonly field: string; readonly min: number; readonly max: number },
): number {
  const isWhole = typeof value === 'number' && Number.isSafeInteger(value);
  if (isWhole && value >= min && value <= max) return value;
  const wanted = `a whole number from ${String(min)} to ${String(max)}`;
  throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants ${wanted}`);
}

/** Text that a pattern accepts; `wanted` says what that is. */
export function wantMatching(
  value: unknown,
  field: string,
  { pattern, wanted }: NamePattern,
): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants ${wanted}`);
}

/** What a name must look like. */
export interface NamePattern {
  readonly pattern: RegExp;
  /** Ends the sentence «wants …». */
  readonly wanted: string;
}

/** The name of a collection of users: those of the system start with `$` and cannot be named. */
export const COLLECTION_NAME: NamePattern = {
  pattern: /^[A-Za-z0-9_-]{1,64}$/,
  wanted: 'the name of a collection: 1 to 64 of A-Z, a-z, 0-9, "_" and "-"',
};

/** The key of a document. */
export const DOCUMENT_KEY: NamePattern = {
  pattern: /^[A-Za-z0-9_.-]{1,256}$/,
  wanted: 'a key: 1 to 256 of A-Z, a-z, 0-9, "_", "." and "-"',
};
