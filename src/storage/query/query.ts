/**
 * The query model of the storage port: a closed tree with no SQL, no functions and no user text but
 * values and paths. The domain builds it from a request, a planner narrows it by an index, an engine
 * walks candidates, and the evaluator beside this file decides. Files here are shared by all engines:
 * one definition of paths, of type order, of missing versus null and of string comparison.
 */
import type { Json, KeyAccess, Sequence, StoredDocument } from '../types.ts';
import type { Filter } from './filter.ts';

/**
 * A parsed dotted path, 1 to 32 segments. A segment names a member of an object, or, when it is a
 * decimal number, an element of an array. `_key`, `_v`, `_seq`, `_createdAt`, `_modifiedAt` and
 * `_expiresAt` as first and only segment address the system fields; a join's alias as first segment
 * addresses the joined document.
 */
export type Path = readonly string[];

/** One sort key. Values order by type, then by value; a missing field sorts last when ascending. */
export interface SortField {
  readonly path: Path;
  readonly direction: 'asc' | 'desc';
}

/**
 * The order of results. Ties are always broken by key, ascending, so that every order is total.
 * `asked` keeps the order of `Query.keys`.
 */
export type Order =
  | { readonly by: 'key'; readonly direction: 'asc' | 'desc' }
  | { readonly by: 'insertion'; readonly direction: 'asc' | 'desc' }
  | { readonly by: 'fields'; readonly fields: readonly SortField[] }
  | { readonly by: 'asked' };

/** Which members of a body come back. Paths that match nothing are no error. */
export type Projection =
  | { readonly kind: 'include'; readonly paths: readonly Path[] }
  | { readonly kind: 'exclude'; readonly paths: readonly Path[] };

/**
 * A left outer join by key: the string at `on` names a document of `from`, which is embedded under
 * `alias`. No such document, a value that is not a string, or a key outside `access`: no alias.
 */
export interface Join {
  readonly alias: string;
  readonly from: string;
  readonly on: Path;
  /** Members of the joined document to embed; absent: all. */
  readonly fields: readonly Path[] | undefined;
  readonly access: KeyAccess;
  /** Add `_key` and `_v` of the joined document to what is embedded. */
  readonly systemFields: boolean;
  /** Paths of joined documents that are never embedded. Absent: none. */
  readonly hidden?: readonly Path[] | undefined;
}

/** Bounds of one query; past them it fails with QUERY_LIMIT_EXCEEDED, naming the bound. */
export interface QueryLimits {
  /** Documents examined. */
  readonly examinedMax: number;
  /** Documents held at once for sorting. */
  readonly sortedMax: number;
  readonly timeMs: number;
  /** Characters of the bodies held at once for sorting, or of the values of groups. */
  readonly memoryBytesMax: number;
  /** A page ends early, with a next position, once its bodies pass this many bytes. */
  readonly pageBytesMax: number;
}

/** What all reads over a collection share. */
export interface Selection {
  readonly collection: string;
  readonly access: KeyAccess;
  /** Only these keys; none when empty. Undefined: every key that `access` lets through. */
  readonly keys: readonly string[] | undefined;
  /** Only keys that start with this. Empty: every key. */
  readonly keyPrefix: string;
  readonly filter: Filter;
  readonly joins: readonly Join[];
  readonly limits: QueryLimits;
}

/** A query for one page of documents. */
export interface Query extends Selection {
  readonly order: Order;
  readonly projection: Projection | undefined;
  /**
   * Paths that no result shows, nor when it expires; see `hidden.ts`. Only results: that nothing else of
   * the query names them is up to whoever asks. Absent: none.
   */
  readonly hidden?: readonly Path[] | undefined;
  readonly offset: number;
  /** 1 to 10,000. */
  readonly limit: number;
  /** The `next` of the page before, for the same selection and order. Absent: the first page. */
  readonly after: string | undefined;
  /** Count every match, not just this page's. */
  readonly total: boolean;
}

/** A document in a result: the projected body, with joined documents embedded. */
export type FoundDocument = StoredDocument;

/** What a query cost. */
export interface QueryCost {
  /** Documents whose body or index entry was looked at. */
  readonly examined: number;
  readonly returned: number;
  readonly elapsedMs: number;
  /** How documents were found: `keys`, `scan`, or `index` and its name. */
  readonly plan: string;
}

/** One page. */
export interface QueryPage {
  readonly documents: readonly FoundDocument[];
  /** Where the next page starts; absent on the last. */
  readonly next: string | undefined;
  /** All matches, when asked for. */
  readonly total: number | undefined;
  /** The state this page shows. */
  readonly sequence: Sequence;
  readonly cost: QueryCost;
}

/** How a query runs. */
export interface QueryPlan {
  /** `keys`: by key; `index`: through an index; `scan`: every document of the collection. */
  readonly access: 'keys' | 'index' | 'scan';
  readonly index: string | undefined;
  /** How many leading fields of the index bound the walk. */
  readonly indexFieldsUsed: number;
  /** The index already delivers the asked order. */
  readonly ordered: boolean;
  /** Human-readable steps, outermost last. */
  readonly steps: readonly string[];
  readonly cost: QueryCost;
}

/** One figure of an aggregation. */
export interface Metric {
  readonly name: string;
  readonly kind: 'count' | 'sum' | 'avg' | 'min' | 'max' | 'distinct';
  /** Absent only for `count`, which then counts documents; with a path it counts non-null values. */
  readonly path: Path | undefined;
}

/** Figures over the selected documents, per group. */
export interface Aggregation extends Selection {
  /** Absent or empty: one group of everything. */
  readonly groupBy: readonly Path[];
  readonly metrics: readonly Metric[];
  /** More groups, or more distinct values in one, than this fail with QUERY_LIMIT_EXCEEDED. */
  readonly groupsMax: number;
}

/** One group: the values it stands for, and its figures by metric name. */
export interface AggregationGroup {
  /** In the order of `groupBy`; a missing field is null. */
  readonly values: readonly Json[];
  readonly figures: Readonly<Record<string, Json>>;
}

/** All groups, ordered by their values in type order. */
export interface AggregationResult {
  readonly groups: readonly AggregationGroup[];
  readonly sequence: Sequence;
  readonly cost: QueryCost;
}
