/**
 * The storage port: what every engine offers and what every engine must keep.
 *
 * Three ideas. (1) Reading and writing are different objects: a write can only be expressed on the
 * Transaction that `transact` hands to its callback. (2) A commit is all or nothing, gets a dense run
 * of sequences, and is published only after it is committed. (3) An engine narrows with its own means
 * (indexes, SQL) but the shared evaluator in `query/` decides what matches, so that all engines agree.
 *
 * The contract suite in `test/contract` carries these rules and runs against every engine. No method
 * does unbounded work on the main loop, and everything that can take long ends on its AbortSignal.
 */
import type {
  BudgetDraw,
  BudgetShare,
  CollectionRecord,
  CollectionSettings,
  Durability,
  IndexRecord,
  IndexSpec,
  LogEntry,
  Position,
  Precondition,
  RemovalCause,
  Sequence,
  StoredDocument,
  Version,
} from './types.ts';
import type { Aggregation, AggregationResult, Query, QueryPage, QueryPlan } from './query/query.ts';

/** Where and how a read looks. */
export interface ReadOptions {
  /**
   * Read the state right after this sequence. Below the retained history: SEQUENCE_COMPACTED; above
   * the last committed one: SEQUENCE_IN_FUTURE. Absent: the newest committed state.
   */
  readonly atSequence?: Sequence | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reads documents. Every result is of one committed state; expired documents do not exist. */
export interface DocumentReader {
  /** The documents under `keys`, in the order asked, `undefined` where there is none. */
  get(
    collection: string,
    keys: readonly string[],
    options?: ReadOptions,
  ): Promise<readonly (StoredDocument | undefined)[]>;

  /** One page of a query. Fails with QUERY_LIMIT_EXCEEDED past `query.limits`, CANCELED on abort. */
  query(query: Query, options?: ReadOptions): Promise<QueryPage>;
}

/** What a put asks for. */
export interface PutRequest {
  readonly collection: string;
  readonly key: string;
  /** The JSON text of an object. */
  readonly body: string;
  readonly expiresAtMs?: number | undefined;
  readonly precondition?: Precondition | undefined;
  /** The put changes a document in part: it does not move `lastPutAtMs` of its collection. */
  readonly isUpdate?: boolean | undefined;
}

/** What a delete asks for. A missing document is not an error unless a precondition says so. */
export interface DeleteRequest {
  readonly collection: string;
  readonly key: string;
  readonly precondition?: Precondition | undefined;
  /** `expired` deletes only what has expired: a document that lives again meanwhile stays. */
  readonly cause?: RemovalCause | undefined;
}

/**
 * The only place where a write can be expressed. Reads see the state committed before the
 * transaction, not its own writes. Every document read by `get`, and every document found by `query`
 * that is then written, must be unchanged when the batch commits; otherwise the callback runs again.
 * Two writes of one document in one transaction are ARGUMENT_INVALID.
 */
export interface Transaction extends DocumentReader {
  put(request: PutRequest): void;
  delete(request: DeleteRequest): void;
  /** Requires something of a document without writing it. */
  require(collection: string, key: string, precondition: Precondition): void;
  /**
   * Requires that the collection is still at this revision (0: does not exist) and, when `lastPutAtMs`
   * is given, that nothing was put into it since; else runs again.
   */
  requireRevision(collection: string, revision: bigint, lastPutAtMs?: number): void;
  /** Creates the collection; an existing one is kept as it is. */
  createCollection(collection: string, settings: CollectionSettings): void;
  configureCollection(collection: string, settings: CollectionSettings): void;
  /** Removes the collection, its documents and its indexes in one log entry. */
  dropCollection(collection: string, cause?: RemovalCause): void;
  /** Removes every document in one log entry; settings and indexes stay. */
  clearCollection(collection: string, cause?: RemovalCause): void;
}

/** Makes a retry of a write safe: the same id with the same fingerprint answers the first result. */
export interface RequestIdentity {
  /** Up to 128 characters, unique per principal. Remembered for at least 24 hours. */
  readonly id: string;
  readonly principal: string;
  /** A hash of the request; the same id with another one is REQUEST_ID_REUSED. */
  readonly fingerprint: string;
}

/** The right to do a job that one node of a store does at a time. */
export interface Lease {
  readonly job: string;
  /** Grows whenever another node takes the job: what is written with an older one is refused. */
  readonly fence: number;
}

/** Jobs that are due on all nodes of a store at one moment. */
export interface SharedJobs {
  /**
   * Takes a job, as `lease` does, for one moment of its schedule in Unix milliseconds; undefined while another node
   * has it, and when any node has taken it for this moment or a later one. Of moments more than an hour ahead of
   * the clock of the store, which that of a node was, none counts as taken.
   */
  claim(job: string, momentMs: number): Promise<Lease | undefined>;
  /** Notes that a job was done now, by whichever node and whether it was due or not. */
  noteDone(job: string): Promise<void>;
  /** When any node last noted that, as this one was last told; undefined: never. Cheap. */
  doneAtMs(job: string): number | undefined;
  /** Gives a job back before its time is over. One that was lost stays with whoever has it now. */
  giveBack(lease: Lease): Promise<void>;
}

/** How a transaction commits. */
export interface TransactOptions {
  readonly durability: Durability;
  /** Commits only while no other node has taken the job, else TRANSACTION_CONFLICT; renews it. */
  readonly lease?: Lease | undefined;
  readonly request?: RequestIdentity | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What happened to one document, in the order of the writes. */
export interface WriteResult {
  readonly collection: string;
  readonly key: string;
  readonly kind: 'put' | 'delete';
  /** Put: the document did not exist before. Delete: always false. */
  readonly created: boolean;
  /** Delete: the document existed. Put: always true. */
  readonly existed: boolean;
  /** The version after a put; 0 after a delete. */
  readonly version: Version;
  /** The sequence of this write; 0 for a delete of a missing document. */
  readonly sequence: Sequence;
  readonly createdSequence: Sequence;
  readonly createdAtMs: number;
}

/** A finished transaction. */
export interface Committed<T> {
  /** What the callback returned; JSON-serialisable when a RequestIdentity was given. */
  readonly value: T;
  readonly writes: readonly WriteResult[];
  /** The last sequence of the commit; the newest committed one when nothing was written. */
  readonly sequence: Sequence;
  readonly timestampMs: number;
  readonly durability: Durability;
  /** The answer was remembered from an earlier call with the same RequestIdentity. */
  readonly replayed: boolean;
}

/** The state of an engine, cheap to ask. */
export interface EngineHealth {
  readonly state: 'ready' | 'readOnly' | 'closed';
  /** Why it is not ready, one sentence; empty when ready. */
  readonly detail: string;
  readonly lastSequence: Sequence;
  /** Everything up to here is on stable storage. */
  readonly durableSequence: Sequence;
  /** Bytes of bodies that only the past needs. */
  readonly historyBytes: number;
  readonly queuedBytes: number;
  /**
   * Milliseconds since the log was last seen as it is, where other nodes write as well. While it grows, the
   * database is away or this node stands still. Absent: nobody else writes.
   */
  readonly lagMs?: number;
  /** Size of the store on disk in bytes, log included. */
  readonly storedBytes: number;
}

/** What an engine has done and does now; cheap to ask. */
export interface EngineFigures {
  /** Transactions committed since the store was opened. */
  readonly commits: number;
  /** Threads that read, by what for. */
  readonly readers: readonly ReaderFigures[];
  /** Of documents read by key, one at a time. */
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** What is kept of them in memory, and how much that may be. */
  readonly cachedDocuments: number;
  readonly cachedBytes: number;
  readonly cachedBytesMax: number;
}

/** Threads that read. */
export interface ReaderFigures {
  readonly pool: 'queries' | 'log';
  /** Reads that wait for a thread. */
  readonly waiting: number;
  readonly busy: number;
}

/** Budgets that all nodes of a store draw from. Nothing but counts of the moment, and so lost in a crash. */
export interface SharedBudgets {
  /** One share per draw, in their order; at most 256 draws, each of another key. */
  draw(draws: readonly BudgetDraw[]): Promise<{
    readonly shares: readonly BudgetShare[];
    /** Nodes that were heard of lately, this one included. */
    readonly nodes: number;
  }>;
}

/** What not every engine can do; what it cannot is refused with FEATURE_DISABLED. */
export interface EngineCapabilities {
  /** Other nodes may write the same store. */
  readonly shared: boolean;
  /** `copy`. */
  readonly copy: boolean;
  /** `rotateDataKey`, and encryption by the engine at all. */
  readonly encryption: boolean;
}

/** The end of the log and its oldest readable entry. */
export interface LogHead extends Position {
  readonly timestampMs: number;
  readonly durableSequence: Sequence;
  /** The floor: the lowest sequence that can be read at or resumed after; 0 when nothing was dropped. */
  readonly oldest: Sequence;
}

/** How a stretch of the log is read. */
export interface LogReadOptions {
  readonly limit: number;
  /** Characters of bodies after which no further commit is read. Absent: 4 Mi. */
  readonly charsMax?: number | undefined;
  /** Commits that end beyond this sequence are left out. Absent: none is. */
  readonly upTo?: Sequence | undefined;
  /** Also read what each entry replaced. */
  readonly withPrevious?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A copy of the store at one sequence: a directory with all that is needed to open it. */
export interface StoreCopy {
  readonly sequence: Sequence;
  /** The commit time of that sequence, in Unix milliseconds; 0 for an empty store. */
  readonly timestampMs: number;
  /** Collections of users, and the documents in them. */
  readonly collections: number;
  readonly documents: number;
  readonly files: readonly StoreFile[];
}

/** One file of a copy. */
export interface StoreFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 in lower-case hex. */
  readonly sha256: string;
}

/** What became of a document. */
export interface FollowedChange {
  readonly key: string;
  readonly sequence: Sequence;
  /** Undefined: it was deleted. */
  readonly body: string | undefined;
  readonly expiresAtMs: number | undefined;
}

/** Holds in memory what other nodes may change. */
export interface FollowListener {
  readonly told: (change: FollowedChange) => void;
  /** Changes were missed that the log no longer has: what is held has to be read again. */
  readonly missed: () => Promise<void>;
}

/** Ends a subscription; calling it twice is harmless. */
export type Unsubscribe = () => void;

/** An open store. Made by an engine's `open…` function; owned and disposed by whoever opened it. */
export interface StorageEngine extends DocumentReader, AsyncDisposable {
  readonly capabilities: EngineCapabilities;
  /** Undefined: no other node spends. */
  readonly budgets: SharedBudgets | undefined;
  /** Undefined: no other node works. */
  readonly jobs: SharedJobs | undefined;
  /** Groups, counts and totals over the documents a query would match, in one committed state. */
  aggregate(aggregation: Aggregation, options?: ReadOptions): Promise<AggregationResult>;
  /** How a query would run and, because it runs it, what it cost. */
  explain(query: Query, options?: ReadOptions): Promise<QueryPlan>;

  /**
   * Runs `body`, then commits what it wrote as one unit. Runs `body` again, at most 16 times with
   * jitter, when something it read changed meanwhile; then TRANSACTION_CONFLICT. Nothing is visible
   * before the commit, and nothing happened when this rejects, but for ENGINE_UNAVAILABLE after a lost
   * connection, where only a RequestIdentity tells.
   */
  transact<T>(
    options: TransactOptions,
    body: (transaction: Transaction) => T | Promise<T>,
  ): Promise<Committed<T>>;
  /** Makes everything committed so far durable and returns the sequence reached. */
  flush(): Promise<Sequence>;

  /**
   * All collections, those of the system (names that start with `$`) included, by name. Of the past, the
   * settings and figures of a collection are those of its end, or of now.
   */
  collections(options?: Pick<ReadOptions, 'atSequence'>): Promise<readonly CollectionRecord[]>;
  /** One collection, or undefined. Cheap: engines keep these in memory. */
  findCollection(name: string): Promise<CollectionRecord | undefined>;

  /** Declares an index and builds it online; returns at once, in state `building` or `ready`. */
  createIndex(spec: IndexSpec): Promise<IndexRecord>;
  /** INDEX_NOT_FOUND when there is none of that name. */
  dropIndex(collection: string, name: string): Promise<void>;
  indexes(collection: string): Promise<readonly IndexRecord[]>;

  head(): Promise<LogHead>;
  /**
   * Entries after `after`, ascending, gap-free and in whole commits: reading stops after the commit in
   * which `limit` entries, or 4 MiB of bodies, are reached. Another epoch or a position below the floor
   * is SEQUENCE_COMPACTED, naming the oldest sequence.
   */
  readLog(after: Position, options: LogReadOptions): Promise<readonly LogEntry[]>;
  /** The greatest sequence committed at or before `timestampMs`; 0 when there is none. */
  sequenceAt(timestampMs: number): Promise<Sequence>;
  /**
   * Raises the floor to `floor`, or as far as pins and the newest entry let it, and returns it. Reads and
   * positions below it are SEQUENCE_COMPACTED at once; the space is freed bit by bit. It never sinks.
   * With a lease that is lost: TRANSACTION_CONFLICT.
   */
  compact(floor: Sequence, lease?: Lease): Promise<Sequence>;
  /** Holds the floor at or below what `lowest` says, as long as it says something. */
  pin(lowest: () => Sequence | undefined): Unsubscribe;
  /**
   * Called after commits, and when more of them has become durable; coalesced. A hint to read the log,
   * never the data itself.
   */
  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe;

  /**
   * Told of every put and delete of a collection that other nodes may have made, in order, soon after it is
   * on stable storage; changes of this node may come as well. Never called by an engine that is not shared.
   * While an engine cannot keep up with that, its `health` is not `ready`.
   */
  follow(collection: string, listener: FollowListener): Unsubscribe;
  /**
   * Resolves when those who follow know all that was on stable storage before the call. However many ask, there is
   * one look at the log at a time. ENGINE_UNAVAILABLE when that takes 3 seconds, and at once while `health` is not
   * `ready`. Does nothing where nobody else writes.
   */
  catchUp(): Promise<void>;

  /**
   * Takes a job that one node does at a time, or renews it, for half a minute by the clock of the store;
   * undefined while another node has it. Whoever pauses may have lost it without knowing: what it still
   * writes has to carry the lease. Given back when the engine closes.
   */
  lease(job: string): Promise<Lease | undefined>;

  /** Keys of documents that are past their expiry, oldest first, at most `limit`. */
  expired(limit: number): Promise<readonly { readonly collection: string; readonly key: string }[]>;
  /**
   * Writes a consistent copy of the store into `directory`, which must not exist, while writes go on, and
   * reads it back. CANCELED when the signal aborts; nothing stays of a copy that fails. FEATURE_DISABLED
   * without the capability.
   */
  copy(directory: string, signal?: AbortSignal): Promise<StoreCopy>;
  /**
   * A key for what is derived from this store and kept beside it, one per purpose, 32 bytes; undefined
   * for a cleartext store.
   */
  derivedKey(purpose: string): Uint8Array | undefined;
  /**
   * Encrypts everything anew under another random key while the store stays open; calls wait meanwhile,
   * about ten seconds per gigabyte. After a crash the store opens all the same. ARGUMENT_INVALID for a
   * cleartext store, FEATURE_DISABLED without the capability.
   */
  rotateDataKey(): Promise<void>;
  health(): EngineHealth;
  figures(): EngineFigures;
  /** Drains queued commits, flushes and releases the store. Calling it twice is harmless. */
  close(): Promise<void>;
}
