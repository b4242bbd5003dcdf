import { invariant } from '../../errors/invariant.ts';
import type { Json } from '../types.ts';
import { resolve, type Candidate } from './candidate.ts';
import { compareNumbers, compareStrings, RANK, rankOf, type Rank } from './compare.ts';
import type { Order, Selection } from './query.ts';

/**
 * How much text of one document takes part in sorting, in UTF-16 units, shared evenly by the sort
 * fields: a string counts with its first 1,600 units by one field, 100 by sixteen, and strings with the
 * same beginning tie. Bounds what a sort holds in memory and what a page position carries.
 */
export const SORTED_UNITS_MAX = 1600;

/** What sorting sees of one value: its type and, for numbers and strings, its value. */
export interface SortValue {
  readonly rank: Rank;
  /** A number or the beginning of a string; undefined for the other types, which tie. */
  readonly value: number | string | undefined;
}

/** The place of one document in an order. */
export interface SortKey {
  readonly values: readonly SortValue[];
  readonly key: string;
}

/** An order made executable. */
export interface Ordering {
  /** The place of a candidate. */
  keyOf(candidate: Candidate): SortKey;
  /** Negative when `a` comes first. Zero only for one and the same key. */
  compare(a: SortKey, b: SortKey): number;
  /** Compares only the first `count` values, without the key. */
  compareFields(a: SortKey, b: SortKey, count: number): number;
}

/**
 * Compiles an order. `keys` are the selection's, for `asked`, where a key outside them is our own bug.
 */
export function compileOrder(order: Order, keys: Selection['keys']): Ordering {
  switch (order.by) {
    case 'key':
      return ordering([], order.direction, () => []);
    case 'insertion':
      return ordering([order.direction], 'asc', ({ document }) => [
        { rank: RANK.number, value: Number(document.createdSequence) },
      ]);
    case 'asked': {
      const places = new Map<string, number>();
      keys?.forEach((key, at) => places.set(key, places.get(key) ?? at));
      return ordering(['asc'], 'asc', ({ document }) => {
        const place = places.get(document.key);
        invariant(place !== undefined, 'an order by asked keys met a key that was not asked for');
        return [{ rank: RANK.number, value: place }];
      });
    }
    case 'fields': {
      const { fields } = order;
      const directions = fields.map((field) => field.direction);
      const unitsMax = Math.floor(SORTED_UNITS_MAX / Math.max(fields.length, 1));
      return ordering(directions, 'asc', (candidate) =>
        fields.map((field) => sortValue(resolve(field.path, candidate), unitsMax)),
      );
    }
  }
}

/** `asked` means nothing without keys: then the order is by key. */
export function effectiveOrder(order: Order, keys: Selection['keys']): Order {
  return order.by === 'asked' && keys === undefined ? { by: 'key', direction: 'asc' } : order;
}

type Direction = 'asc' | 'desc';

function ordering(
  directions: readonly Direction[],
  keyDirection: Direction,
  valuesOf: (candidate: Candidate) => readonly SortValue[],
): Ordering {
  function compareFields(a: SortKey, b: SortKey, count: number): number {
    for (let at = 0; at < count; at++) {
      const order = compareSortValues(a.values[at] ?? MISSING, b.values[at] ?? MISSING);
      if (order !== 0) return directions[at] === 'desc' ? -order : order;
    }
    return 0;
  }
  const keySign = keyDirection === 'asc' ? 1 : -1;
  return {
    keyOf: (candidate) => ({ values: valuesOf(candidate), key: candidate.document.key }),
    compareFields,
    compare: (a, b) =>
      compareFields(a, b, directions.length) || keySign * compareStrings(a.key, b.key),
  };
}

const MISSING: SortValue = { rank: RANK.missing, value: undefined };

/** What sorting sees of a value, of a string at most `unitsMax`; `undefined` stands for missing. */
export function sortValue(value: Json | undefined, unitsMax: number): SortValue {
  const rank = rankOf(value);
  if (typeof value === 'number') return { rank, value };
  if (typeof value === 'string') return { rank, value: beginning(value, unitsMax) };
  return { rank, value: undefined };
}

/** Never cuts a surrogate pair: half of one would sort as another character. */
function beginning(text: string, unitsMax: number): string {
  if (text.length <= unitsMax) return text;
  const last = text.codePointAt(unitsMax - 1) ?? 0;
  return text.slice(0, last > 0xffff ? unitsMax + 1 : unitsMax);
}

/** Compares what sorting sees: by type, numbers by value, strings by code point, the rest ties. */
export function compareSortValues(a: SortValue, b: SortValue): number {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (typeof a.value === 'number' && typeof b.value === 'number') {
    return compareNumbers(a.value, b.value);
  }
  if (typeof a.value === 'string' && typeof b.value === 'string') {
    return compareStrings(a.value, b.value);
  }
  return 0;
}
