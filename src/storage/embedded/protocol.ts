/**
 * What the threads of the engine say to each other. Everything here survives a structured clone;
 * sequences travel as numbers, because millions of them pass and a double holds them exactly.
 */
import type { CollectionRecord, IndexSpec, LogEntry, Sequence, StoredDocument } from '../types.ts';
import type { CommitOutcome, CommitRequest, Refusal } from '../commit/operations.ts';
import type { CollectionChange, WrittenKey } from '../commit/catalog.ts';
import type { IndexRow } from '../commit/rows.ts';
import type {
  Aggregation,
  AggregationResult,
  Query,
  QueryPage,
  QueryPlan,
} from '../query/query.ts';
import type { LogRequest } from './log-reader.ts';

/** How every thread reaches the store. */
export interface StoreAccess {
  readonly file: string;
  /** 64 hex digits, or undefined for a cleartext store. */
  readonly dataKey: string | undefined;
  readonly cacheBytes: number;
}

/** What the main thread asks the writer. */
export type WriterTask =
  | { readonly kind: 'commit'; readonly commits: readonly CommitRequest[] }
  | { readonly kind: 'createIndex'; readonly spec: IndexSpec }
  | { readonly kind: 'dropIndex'; readonly collection: string; readonly name: string }
  /** Raises the floor; what lies below it is removed bit by bit. */
  | { readonly kind: 'compact'; readonly floor: number }
  /** Writes every page again under another data key; nobody else may have the file open. */
  | { readonly kind: 'rekey'; readonly dataKey: string }
  /** Refuses every write from now on. */
  | { readonly kind: 'stop'; readonly fault: string }
  | { readonly kind: 'flush' }
  | { readonly kind: 'close' };

/** What the writer answers to each task. */
export type WriterResult =
  | { readonly kind: 'committed'; readonly outcomes: readonly CommitOutcome[] }
  | { readonly kind: 'index'; readonly index: IndexRow }
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The state after something changed; what the main thread keeps a copy of. */
export interface WriterState {
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  readonly durableSequence: number;
  /** The counter of commits begun, when this was written. */
  readonly commits: number;
  /** The lowest sequence that is kept. */
  readonly floor: number;
  /** Bytes of bodies that only the past needs. */
  readonly historyBytes: number;
  /** Collections that changed; a dropped one without a row. */
  readonly collections: readonly CollectionChange[];
  /** Documents written, for caches; `all` when whole collections went. */
  readonly written: readonly WrittenKey[] | 'all';
  /** How long commits since the last state waited for the disk, in milliseconds. */
  readonly syncsMs: readonly number[];
  /** Set once when writing has become impossible. */
  readonly fault: string | undefined;
}

/** A task on its way to the writer. */
export interface WriterMessage {
  readonly id: number;
  readonly nowMs: number;
  readonly task: WriterTask;
}

/** An answer on its way back; id 0 tells of background work. */
export interface WriterReply {
  readonly id: number;
  readonly result: WriterResult;
  readonly state: WriterState;
}

/** What the main thread asks a reader thread. */
export type ReadTask =
  | { readonly kind: 'get'; readonly collection: string; readonly keys: readonly string[] }
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'explain'; readonly query: Query }
  | { readonly kind: 'aggregate'; readonly aggregation: Aggregation }
  | { readonly kind: 'log'; readonly request: LogRequest }
  | { readonly kind: 'sequenceAt'; readonly timestampMs: number }
  /** Those of the past. */
  | { readonly kind: 'collections' }
  | { readonly kind: 'expired'; readonly limit: number };

/** What each read task answers, by its kind. */
export interface ReadResults {
  readonly get: readonly (StoredDocument | undefined)[];
  readonly query: QueryPage;
  readonly explain: QueryPlan;
  readonly aggregate: AggregationResult;
  readonly log: readonly LogEntry[];
  readonly sequenceAt: Sequence;
  readonly collections: readonly CollectionRecord[];
  readonly expired: readonly { readonly collection: string; readonly key: string }[];
}

/** A read task on its way to a reader thread. */
export interface ReadMessage {
  /** At least 1, and no other one in use. */
  readonly id: number;
  /** Where the threads and whoever asks agree on who does it; see `read-claims.ts`. */
  readonly slot: number;
  readonly nowMs: number;
  readonly atSequence: number | undefined;
  readonly task: ReadTask;
}

/** Its answer. */
export interface ReadReply {
  readonly id: number;
  readonly result: ReadResults[keyof ReadResults] | undefined;
  readonly refusal: Refusal | undefined;
}
