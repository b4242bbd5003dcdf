import type { IndexRecord } from '../types.ts';
import type { Order, Selection } from './query.ts';

/** Entries of an index from `lower` (inclusive) to `upper` (exclusive; undefined: to the end). */
export interface EncodedRange {
  readonly lower: Buffer;
  readonly upper: Buffer | undefined;
}

/**
 * A run of keys: exactly one, or from `lower` (inclusive) to `upper` (exclusive; undefined: to the
 * end) in code point order.
 */
export type KeyRange =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'range'; readonly lower: string; readonly upper: string | undefined };

/**
 * A condition on one stored value that every match fulfils, for an engine that can test it more
 * cheaply than by parsing the body (`json_extract`). Leaving any of them out is always right.
 *
 * Paths name members of objects only. They hold for bodies in which no object repeats a member name.
 * - `number`: the value is a number from `min` to `max`, both inclusive and already widened against
 *   rounding; undefined is unbounded.
 * - `boolean`: the value is this boolean.
 * - `string`: the value is a string. `like` is a pattern for a LIKE that ignores ASCII case, with `%`,
 *   `_` and the escape `\`; a value that contains U+0000 must count as a match.
 * - `present`: the value is there, null included.
 */
export type Condition =
  | {
      readonly kind: 'number';
      readonly path: readonly string[];
      readonly min: number | undefined;
      readonly max: number | undefined;
    }
  | { readonly kind: 'boolean'; readonly path: readonly string[]; readonly value: boolean }
  | { readonly kind: 'string'; readonly path: readonly string[]; readonly like: string }
  | { readonly kind: 'present'; readonly path: readonly string[] };

/** How far the order in which candidates arrive is the order asked for. */
export type Arrival =
  /** Not at all: matches are sorted in memory. */
  | 'unordered'
  /** By the sort fields; documents with equal values come in any order. */
  | 'byFields'
  /** Completely, ties included. */
  | 'total';

/** How candidates are found. Always a superset of the matches: the executor decides each. */
export type Access =
  /** These keys, in this order; a key without a document is skipped. */
  | { readonly kind: 'keys'; readonly keys: readonly string[] }
  /**
   * The ranges in this order; inside a range by entry, ascending or (reverse) descending, and equal
   * entries by key ascending in both directions. Ranges are disjoint.
   */
  | {
      readonly kind: 'index';
      readonly index: string;
      readonly ranges: readonly EncodedRange[];
      readonly reverse: boolean;
    }
  /** The ranges in this order; inside a range by key, ascending or (reverse) descending. */
  | {
      readonly kind: 'scan';
      readonly ranges: readonly KeyRange[];
      readonly reverse: boolean;
      /** `insertion`: by createdSequence instead of by key; only when the engine said it can. */
      readonly by: 'key' | 'insertion';
      /** With `by: 'insertion'`: only documents created after (reverse: before) this sequence. */
      readonly afterCreated: bigint | undefined;
    };

/** A closed plan: what to walk, and what its order is worth. */
export interface Plan {
  readonly access: Access;
  readonly arrival: Arrival;
  /**
   * `arrival` holds only when the index has no entry in any of these ranges, checked in the same read
   * transaction. If one has, plan again with the index named in `unordered`.
   */
  readonly probes: readonly EncodedRange[];
  /** How many leading fields of the index bound the walk; 0 without an index. */
  readonly fieldsUsed: number;
  readonly conditions: readonly Condition[];
  /** Human-readable, first to last. */
  readonly steps: readonly string[];
}

/** What is planned. */
export interface PlanRequest {
  readonly selection: Selection;
  /** Absent: any order will do (aggregation). */
  readonly order: Order | undefined;
  /** The position to continue after, as in `Query.after`. */
  readonly after: string | undefined;
  /** Every match is wanted anyway (total or aggregation), so stopping early is worth nothing. */
  readonly wantsAll: boolean;
  /** All indexes of the collection, those not ready are passed over. None when reading the past. */
  readonly indexes: readonly IndexRecord[];
  /** Names of indexes that cannot deliver an order, found by probing. */
  readonly unordered: readonly string[];
  /** The engine can scan by createdSequence. */
  readonly canScanByInsertion: boolean;
}

/**
 * Chooses how to find the candidates of a selection.
 *
 * PAGE_TOKEN_INVALID when `after` is not a position of this order.
 */
export declare function planSelection(request: PlanRequest): Plan;

/**
 * Plans and probes: asks `hasEntry` about the probes of the plan, and plans without that order when
 * one is hit. For engines that can answer synchronously.
 */
export declare function planWithProbes(
  request: PlanRequest,
  hasEntry: (index: string, range: EncodedRange) => boolean,
): Plan;
