import type { Json } from '../types.ts';
import { isArray, isObject } from './path.ts';

/**
 * The type order of sort, index, minimum and maximum. Missing comes after everything, so that
 * documents without the field are last when ascending.
 */
export const RANK = {
  null: 0,
  false: 1,
  true: 2,
  number: 3,
  string: 4,
  array: 5,
  object: 6,
  missing: 7,
} as const;

/** The place of a type in the type order. */
export type Rank = (typeof RANK)[keyof typeof RANK];

/** The rank of a value; `undefined` stands for a missing field. */
export function rankOf(value: Json | undefined): Rank {
  if (value === undefined) return RANK.missing;
  if (value === null) return RANK.null;
  switch (typeof value) {
    case 'boolean':
      return value ? RANK.true : RANK.false;
    case 'number':
      return RANK.number;
    case 'string':
      return RANK.string;
    default:
      return isArray(value) ? RANK.array : RANK.object;
  }
}

/**
 * The folded form in which strings are equal: Unicode lower case, with the final sigma made an
 * ordinary one. Without that a prefix of a string could fold differently from the string itself.
 */
export function fold(text: string): string {
  const lower = text.toLowerCase();
  return lower.includes('ς') ? lower.replaceAll('ς', 'σ') : lower;
}

const HIGH_SURROGATE_MIN = 0xd800;
const HIGH_SURROGATE_MAX = 0xdbff;

/**
 * Compares two strings by code point, which is also the order of their UTF-8 bytes. JavaScript's own
 * `<` compares UTF-16 units and would put U+10000 before U+E000.
 */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const shared = Math.min(a.length, b.length);
  let at = 0;
  while (at < shared && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === shared) return a.length - b.length;
  const before = at === 0 ? 0 : a.charCodeAt(at - 1);
  const isInsidePair = before >= HIGH_SURROGATE_MIN && before <= HIGH_SURROGATE_MAX;
  const whole = isInsidePair ? codePoint(a, at - 1) - codePoint(b, at - 1) : 0;
  return whole !== 0 ? whole : codePoint(a, at) - codePoint(b, at);
}

function codePoint(text: string, at: number): number {
  return text.codePointAt(at) ?? -1;
}

/**
 * A total order over values: by type, numbers by value, strings by code point (case-sensitive), arrays
 * element by element, objects by their sorted members. Zero means deeply equal. For groups, distinct
 * values, minimum and maximum.
 */
export function compareValues(a: Json | undefined, b: Json | undefined): number {
  const byType = rankOf(a) - rankOf(b);
  if (byType !== 0) return byType;
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b);
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b);
  if (isArray(a) && isArray(b)) return compareArrays(a, b);
  if (isObject(a) && isObject(b)) return compareObjects(a, b);
  return 0;
}

/** Compares numbers by value; both zeros are one value. */
export function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareArrays(a: readonly Json[], b: readonly Json[]): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const order = compareValues(a[at], b[at]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareObjects(
  a: { readonly [name: string]: Json },
  b: { readonly [name: string]: Json },
): number {
  const namesOfA = Object.keys(a).sort(compareStrings);
  const namesOfB = Object.keys(b).sort(compareStrings);
  const shared = Math.min(namesOfA.length, namesOfB.length);
  for (let at = 0; at < shared; at++) {
    const nameA = namesOfA[at] ?? '';
    const nameB = namesOfB[at] ?? '';
    const order = compareStrings(nameA, nameB) || compareValues(a[nameA], b[nameB]);
    if (order !== 0) return order;
  }
  return namesOfA.length - namesOfB.length;
}

/** Deep equality: numbers by value, strings exactly, members of objects in any order. */
export function deepEquals(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (isArray(a)) {
    return (
      isArray(b) && a.length === b.length && a.every((item, at) => deepEquals(item, b[at] ?? null))
    );
  }
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every(
    (name) => Object.hasOwn(b, name) && deepEquals(a[name] ?? null, b[name] ?? null),
  );
}

/**
 * What `eq` means: a missing field is null, strings are equal when folded, everything else by
 * `deepEquals`. Strings inside arrays and objects are compared exactly.
 */
export function equals(value: Json | undefined, operand: Json): boolean {
  if (value === undefined) return operand === null;
  if (typeof value === 'string')
    return typeof operand === 'string' && fold(value) === fold(operand);
  return deepEquals(value, operand);
}
