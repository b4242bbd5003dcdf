/**
 * What every engine whose log is its store has in common: how a transaction is drafted, checked, numbered
 * and turned into rows. This room decides; an engine only finds and keeps rows, through the interfaces
 * here. They are synchronous, because all of one commit must be decided at one moment: an engine whose
 * rows are far away loads what a commit may touch beforehand, and loads more when it finds a gap.
 */
import type { RequestIdentity } from '../engine.ts';
import type { CollectionRow, DocumentRow, IndexRow, LogRow } from './rows.ts';

/** The newest row of a key, deletes included. */
export interface Head {
  readonly seq: number;
  readonly live: number;
  readonly created_seq: number;
  readonly expires_at: number | null;
  readonly version: number;
  readonly created_at: number;
  /** Size of the body; null after a delete. */
  readonly bytes: number | null;
}

/** Where the newest row of a key is, to be kept. */
export interface HeadRow {
  readonly collection: number;
  readonly key: string;
  readonly seq: number;
  readonly live: number;
  readonly created_seq: number;
  readonly expires_at: number | null;
}

/** Keeps the log. */
export interface LogStore {
  insertEntry(row: LogRow): void;
  /** Bytes of bodies that only the past needs. */
  saveHistoryBytes(bytes: number): void;
}

/** Keeps collections and what is known of their indexes. */
export interface CatalogStore {
  loadCollections(): readonly {
    readonly row: CollectionRow;
    readonly indexes: readonly IndexRow[];
  }[];
  /** Returns the id of the new incarnation, which begins at the sequence `born`. */
  insertCollection(row: Omit<CollectionRow, 'id'>, born: number): number;
  saveCollection(row: CollectionRow): void;
  /** Ends an incarnation at a sequence; its indexes go. */
  retireCollection(id: number, sequence: number): void;
  /** Returns the id of the new index. */
  insertIndex(row: Omit<IndexRow, 'id'>): number;
  saveIndex(row: IndexRow): void;
  deleteIndex(id: number): void;
}

/** Finds and keeps documents and the entries of their indexes. */
export interface DocumentStore {
  head(collection: number, key: string): Head | undefined;
  saveHead(row: HeadRow): void;
  /** The document that the entry of a sequence wrote. */
  document(sequence: number): DocumentRow;
  /** Keys of documents that exist, those created first. */
  oldestKeys(collection: number, limit: number): readonly string[];
  addEntry(index: number, value: Buffer, key: string): void;
  removeEntry(index: number, value: Buffer, key: string): void;
  /** Up to two other documents that hold a value. */
  otherHolders(index: number, value: Buffer, key: string): readonly string[];
}

/** Remembers answers to request ids. */
export interface AnswerStore {
  find(
    identity: RequestIdentity,
  ): { readonly fingerprint: string; readonly answer: string } | undefined;
  remember(identity: RequestIdentity, answer: string, nowMs: number): void;
}

/** Everything a commit needs, and a way to take back one transaction of a group. */
export interface CommitStore extends LogStore, CatalogStore, DocumentStore {
  readonly answers: AnswerStore;
  /** What is kept from here on is of one transaction. */
  begin(): void;
  /** It stays. */
  release(): void;
  /** It goes. */
  rollback(): void;
}
