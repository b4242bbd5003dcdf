import type { IndexRecord } from '../types.ts';
import type { Order, Selection } from './query.ts';
import type { KeyRange } from './reach.ts';

/** Entries of an index from `lower` (inclusive) to `upper` (exclusive; undefined: to the end). */
export interface EncodedRange {
  readonly lower: Buffer;
  readonly upper: Buffer | undefined;
}

/** How far the order in which candidates arrive is the order asked for. */
export type Arrival =
  /** Not at all: matches are sorted in memory. */
  | 'unordered'
  /** By the first `arrivalFields` sort fields; documents with equal values there come in any order. */
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
      /** Entries whose document has this key or a smaller one may be passed over. */
      readonly afterKey: string | undefined;
    }
  /** The ranges in this order; inside a range by key, ascending or (reverse) descending. */
  | {
      readonly kind: 'scan';
      readonly ranges: readonly KeyRange[];
      readonly reverse: boolean;
      /** `insertion`: by createdSequence across all ranges; only when the engine said it can. */
      readonly by: 'key' | 'insertion';
      /** With `by: 'insertion'`: only documents created at or after (reverse: before) this one. */
      readonly fromCreated: bigint | undefined;
    };

/** A closed plan: what to walk, and what its order is worth. */
export interface Plan {
  readonly access: Access;
  readonly arrival: Arrival;
  /** With `byFields`: by how many leading sort fields; the rest comes in any order. */
  readonly arrivalFields: number;
  /**
   * `arrival` holds only when the index has no entry in any of these ranges, checked in the same read
   * transaction. If one has, plan again with the index named in `unordered`.
   */
  readonly probes: readonly EncodedRange[];
  /** How many leading fields of the index bound the walk; 0 without an index. */
  readonly fieldsUsed: number;
  /** Human-readable, first to last. */
  readonly steps: readonly string[];
}

/** What is planned. */
export interface PlanRequest {
  readonly selection: Selection;
  /** Undefined: the order does not matter, as for an aggregation. */
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

/** A plan before its description. */
export type Draft = Omit<Plan, 'steps'>;
