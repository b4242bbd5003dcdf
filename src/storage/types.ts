/**
 * The words of the storage port: what engines store, return and promise.
 *
 * Nothing here knows an engine, the wire or a rule of the product; engines and the domain both speak
 * these types. A document's body travels as JSON text, exactly as it was accepted, so that numbers
 * keep their digits and hashes stay stable.
 */

declare const sequenceBrand: unique symbol;
declare const versionBrand: unique symbol;

/** Store-wide commit order: dense, starts at 1, one per log entry. The resume point of everything. */
export type Sequence = bigint & { readonly [sequenceBrand]: true };

/** Per-document counter: 1 at creation, +1 per write; starts again at 1 after a delete. */
export type Version = bigint & { readonly [versionBrand]: true };

/** Marks a non-negative bigint as a sequence. 0 means «before the first entry». */
export function toSequence(value: bigint | number): Sequence {
  return BigInt(value) as Sequence;
}

/** Marks a non-negative bigint as a document version. 0 means «does not exist». */
export function toVersion(value: bigint | number): Version {
  return BigInt(value) as Version;
}

/** Any JSON value (RFC 8259), parsed. Numbers are IEEE 754 doubles. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object, parsed. Made with no prototype tricks: `__proto__` is an ordinary name. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** A share of a budget that is asked for. */
export interface BudgetDraw {
  /** Whose budget, and of what. Windows of another length are other budgets. */
  readonly key: string;
  /** How much all nodes together may draw in a sliding window. */
  readonly limit: number;
  readonly windowMs: number;
  readonly amount: number;
}

/** A share of a budget. */
export interface BudgetShare {
  /** At most what was asked for; 0 when nothing is left. */
  readonly granted: number;
  /** What all nodes drew in this window, this share included, and in the one before. */
  readonly count: number;
  readonly before: number;
  /** The number of the window, and the milliseconds until it ends, by the clock of the store. */
  readonly index: number;
  readonly resetMs: number;
}

/**
 * What a commit promises: `sync` is on stable storage (fsync) before the reply; `async` is
 * committed, survives a crash of the process, and is fsynced within the engine's flush window.
 */
export type Durability = 'sync' | 'async';

/** A document as stored. System fields are members here and never part of `body`. */
export interface StoredDocument {
  readonly collection: string;
  readonly key: string;
  readonly version: Version;
  /** The sequence of the last write. */
  readonly sequence: Sequence;
  /** The sequence of the creation: insertion order, kept by every later write. */
  readonly createdSequence: Sequence;
  /** Unix milliseconds. */
  readonly createdAtMs: number;
  /** Unix milliseconds. */
  readonly modifiedAtMs: number;
  /** Unix milliseconds; from this instant on the document does not exist. Absent: lives for ever. */
  readonly expiresAtMs: number | undefined;
  /** The JSON text of an object. */
  readonly body: string;
}

/** Why a document went away without anybody deleting it. */
export type RemovalCause = 'expired' | 'evicted';

/**
 * Which keys of one collection a caller may see or touch: all, or the union of exact keys and key
 * prefixes. An empty union grants nothing. Engines apply it before any limit, count or page.
 */
export type KeyAccess =
  | { readonly kind: 'all' }
  | {
      readonly kind: 'some';
      readonly keys: readonly string[];
      readonly prefixes: readonly string[];
    };

/** The access that grants every key. */
export const ALL_KEYS: KeyAccess = { kind: 'all' };

/**
 * What must be true of one document when the batch commits. All are the
 * caller's: they fail with VERSION_MISMATCH and are not retried. An expired document does not exist.
 */
export type Precondition =
  /** `false` is an insertion, and fails with DOCUMENT_EXISTS. */
  | { readonly kind: 'exists'; readonly exists: boolean }
  /** 0: the document does not exist. */
  | { readonly kind: 'version'; readonly version: Version }
  /** The last write of the document has this sequence: also false when it was made anew meanwhile. */
  | { readonly kind: 'sequence'; readonly sequence: Sequence };

/** What an engine must know about a collection; `rules` is the domain's own JSON text, opaque here. */
export interface CollectionSettings {
  /** More documents than this evict those with the lowest createdSequence, in the same commit. */
  readonly documentsMax: number | undefined;
  /** JSON text, at most 1 MiB. */
  readonly rules: string;
}

/** A collection as stored. */
export interface CollectionRecord {
  readonly name: string;
  /** Names this incarnation; dropping and creating the same name gives another one. */
  readonly uid: string;
  /** 1 at creation, +1 per change of settings or indexes. */
  readonly revision: bigint;
  readonly settings: CollectionSettings;
  /** Documents that exist, including expired ones not yet swept. */
  readonly documents: number;
  /** Sum of the body sizes of those documents, in bytes of UTF-8. */
  readonly bytes: number;
  readonly createdAtMs: number;
  /** When a document was last put whole; creation time before the first. Unix milliseconds. */
  readonly lastPutAtMs: number;
}

/** One field of an index: a dotted path and a direction. */
export interface IndexField {
  readonly path: string;
  readonly direction: 'asc' | 'desc';
}

/** What is asked of an index. Names are unique within a collection. */
export interface IndexSpec {
  readonly collection: string;
  readonly name: string;
  /** 1 to 8 fields. */
  readonly fields: readonly IndexField[];
  /** No two documents may hold the same values; documents missing every field are exempt. */
  readonly unique: boolean;
}

/** An index as stored. Only a `ready` one answers queries or is listed by a plan. */
export interface IndexRecord extends IndexSpec {
  readonly state: 'building' | 'ready' | 'failed';
  /** Documents indexed so far by a build. */
  readonly documentsDone: number;
  /** Why a build failed, one sentence; empty otherwise. */
  readonly failure: string;
  readonly createdAtMs: number;
}

/** One numbered change. Entries of one commit share `commit` and are never interleaved. */
export interface LogEntry {
  readonly sequence: Sequence;
  /** Commit time in Unix milliseconds; never decreases along the sequence. */
  readonly timestampMs: number;
  /** The first sequence of the commit this entry belongs to. */
  readonly commit: Sequence;
  readonly kind:
    | 'put'
    | 'delete'
    | 'createCollection'
    | 'configureCollection'
    | 'dropCollection'
    | 'clearCollection';
  readonly collection: string;
  /** The document's key; empty for entries about a collection. */
  readonly key: string;
  /** The version after a put; 0 otherwise. */
  readonly version: Version;
  /** The JSON text after a put; empty otherwise. */
  readonly body: string;
  /** What a collection was created or configured with. */
  readonly settings?: CollectionSettings | undefined;
  /** The sequence this entry replaced; 0 when there was none. */
  readonly previousSequence: Sequence;
  readonly createdSequence: Sequence;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | undefined;
  /** Set on removals nobody asked for. */
  readonly cause: RemovalCause | undefined;
  /** The document that this entry replaced or removed; only in logs read `withPrevious`. */
  readonly previous?: StoredDocument | undefined;
}

/** A point in one timeline of the log. A restore starts a new epoch, and old positions stop matching. */
export interface Position {
  readonly epoch: string;
  readonly sequence: Sequence;
}
