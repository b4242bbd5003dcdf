/**
 * The embedded engine: one SQLite file that is log and store at once, one thread that writes, a few that
 * read. The main thread reads single documents itself, from a bounded cache or its own connection, and
 * hands everything that may take long to the reader threads.
 *
 * A read never waits for a write: each is a read transaction on the newest commit. The cache is used only
 * while no commit is under way (a counter shared with the writer tells), so that no read goes back in
 * time behind another.
 */
import { statSync } from 'node:fs';

import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import type { Clock } from '../../platform/clock.ts';
import { delay } from '../../platform/timers.ts';
import type {
  Committed,
  DocumentReader,
  EngineFigures,
  EngineHealth,
  LogHead,
  LogReadOptions,
  ReadOptions,
  StorageEngine,
  StoreCopy,
  TransactOptions,
  Transaction,
  Unsubscribe,
} from '../engine.ts';
import { isExpired } from '../query/join.ts';
import type {
  Aggregation,
  AggregationResult,
  Query,
  QueryPage,
  QueryPlan,
} from '../query/query.ts';
import {
  toSequence,
  type CollectionRecord,
  type IndexRecord,
  type IndexSpec,
  type LogEntry,
  type Position,
  type Sequence,
  type StoredDocument,
} from '../types.ts';
import { copyStore } from './copy.ts';
import type { DocumentCache } from './document-cache.ts';
import type { ReadResults, ReadTask, StoreAccess, WriterResult, WriterTask } from './protocol.ts';
import { deriveKey, openKeyring, randomKey, writeKeyring } from './keyring.ts';
import type { LogRequest } from './log-reader.ts';
import { wrongEpoch } from '../commit/refusals.ts';
import { closeReading, figuresOf, openReading, type Reading } from './reading.ts';
import { toError } from '../commit/operations.ts';
import { indexOf } from '../commit/rows.ts';
import { settleKeys } from './store-keys.ts';
import type { StoreState } from './store-state.ts';
import type { WriterThread } from './writer-thread.ts';

/** The opened parts of a store. */
export interface EngineParts {
  readonly access: StoreAccess;
  readonly epoch: string;
  readonly clock: Clock;
  readonly writer: WriterThread;
  /** Threads for queries. */
  readonly readers: number;
  /** Absent: a cleartext store. */
  readonly encryption: Encryption | undefined;
  readonly cache: DocumentCache;
  readonly state: StoreState;
  /** Counts commits begun; shared with the writer. */
  readonly commits: Int32Array;
  /** Releases what belongs to the directory, after everything else is closed. */
  readonly release: () => void;
}

/** What an encrypted store is opened and rotated with. */
export interface Encryption {
  readonly directory: string;
  readonly password: string;
  readonly rootKey: string;
}

/** Keys read on the main thread at once; more go to a reader thread. */
const MAIN_KEYS_MAX = 64;
/** Log entries, and characters of their bodies, read on the main thread at once. */
const MAIN_ENTRIES_MAX = 128;
const MAIN_CHARS_MAX = 256 * 1024;

/** Assembles the engine. */
export function createEngine(parts: EngineParts): StorageEngine {
  return new EmbeddedEngine(parts);
}

/** How often a pause looks whether all is quiet. */
const DRAIN_STEP_MS = 5;

class EmbeddedEngine implements StorageEngine {
  readonly capabilities = { shared: false, copy: true, encryption: true };
  readonly #parts: EngineParts;
  #reading: Reading;
  /** Calls under way that use the connections, and what new ones wait for while those are changed. */
  #active = 0;
  #gate: Promise<void> | undefined;
  readonly #pins = new Set<() => Sequence | undefined>();
  #closing: Promise<void> | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#reading = this.#openReading(parts.access);
  }

  get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions = {},
  ): Promise<readonly (StoredDocument | undefined)[]> {
    return this.#use(() => this.#get(collection, keys, options));
  }

  query(query: Query, options?: ReadOptions): Promise<QueryPage> {
    return this.#read<'query'>({ kind: 'query', query }, options);
  }

  aggregate(aggregation: Aggregation, options?: ReadOptions): Promise<AggregationResult> {
    return this.#read<'aggregate'>({ kind: 'aggregate', aggregation }, options);
  }

  explain(query: Query, options?: ReadOptions): Promise<QueryPlan> {
    return this.#read<'explain'>({ kind: 'explain', query }, options);
  }

  async transact<T>(
    options: TransactOptions,
    body: (transaction: Transaction) => T | Promise<T>,
  ): Promise<Committed<T>> {
    return await this.#use(() => this.#reading.transactor.transact(options, body));
  }

  async flush(): Promise<Sequence> {
    await this.#ask({ kind: 'flush' });
    return toSequence(this.#parts.state.durableSequence);
  }

  async collections({ atSequence }: Pick<ReadOptions, 'atSequence'> = {}): Promise<
    readonly CollectionRecord[]
  > {
    if (atSequence === undefined) return this.#parts.state.collections();
    return await this.#read<'collections'>({ kind: 'collections' }, { atSequence });
  }

  async findCollection(name: string): Promise<CollectionRecord | undefined> {
    return this.#parts.state.collection(name);
  }

  async createIndex(spec: IndexSpec): Promise<IndexRecord> {
    const result = await this.#ask({ kind: 'createIndex', spec });
    invariant(result.kind === 'index', 'the writer answers createIndex with an index');
    return indexOf(spec.collection, result.index);
  }

  async dropIndex(collection: string, name: string): Promise<void> {
    await this.#ask({ kind: 'dropIndex', collection, name });
  }

  async indexes(collection: string): Promise<readonly IndexRecord[]> {
    return this.#parts.state.indexes(collection);
  }

  async head(): Promise<LogHead> {
    const { epoch, state } = this.#parts;
    return {
      epoch,
      sequence: toSequence(state.lastSequence),
      timestampMs: state.lastTimestampMs,
      durableSequence: toSequence(state.durableSequence),
      oldest: toSequence(state.floor),
    };
  }

  async readLog(after: Position, options: LogReadOptions): Promise<readonly LogEntry[]> {
    this.#assertOpen();
    if (after.epoch !== this.#parts.epoch) throw wrongEpoch(after.epoch);
    const { limit, charsMax, upTo, withPrevious = false, signal } = options;
    const request: LogRequest = {
      ...{ after: Number(after.sequence), limit, charsMax, withPrevious },
      upTo: upTo === undefined ? undefined : Number(upTo),
    };
    // The newest few entries, which everybody who follows the log asks for, are read right here.
    const isNear = this.#parts.state.lastSequence - request.after <= MAIN_ENTRIES_MAX;
    return await this.#use(async () => {
      const { reader, logPool } = this.#reading;
      const here = isNear ? reader.readLog(request, MAIN_CHARS_MAX) : undefined;
      if (here !== undefined) return here;
      const nowMs = this.#parts.clock.now();
      return await logPool.run<'log'>({ kind: 'log', request }, { nowMs, signal });
    });
  }

  sequenceAt(timestampMs: number): Promise<Sequence> {
    return this.#read<'sequenceAt'>({ kind: 'sequenceAt', timestampMs });
  }

  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe {
    return this.#parts.state.onCommit(listener);
  }

  // Nobody else writes.
  follow = (): Unsubscribe => () => undefined;

  async compact(floor: Sequence): Promise<Sequence> {
    const held = [...this.#pins].map((pin) => pin() ?? floor);
    const lowest = held.reduce((least, one) => (one < least ? one : least), floor);
    await this.#ask({ kind: 'compact', floor: Number(lowest) });
    return toSequence(this.#parts.state.floor);
  }

  pin(lowest: () => Sequence | undefined): Unsubscribe {
    // A wrapper, so that one function given twice is two pins.
    const own = (): Sequence | undefined => lowest();
    this.#pins.add(own);
    return () => {
      this.#pins.delete(own);
    };
  }

  expired(
    limit: number,
  ): Promise<readonly { readonly collection: string; readonly key: string }[]> {
    return this.#read<'expired'>({ kind: 'expired', limit });
  }

  async copy(directory: string, signal?: AbortSignal): Promise<StoreCopy> {
    return await this.#use(() => copyStore(this.#reading.access, directory, signal));
  }

  derivedKey(purpose: string): Uint8Array | undefined {
    return deriveKey(this.#parts.encryption?.rootKey, purpose);
  }

  async rotateDataKey(): Promise<void> {
    this.#assertOpen();
    const { encryption, writer } = this.#parts;
    if (encryption === undefined) throw notEncrypted();
    const { directory, password } = encryption;
    const keys = await openKeyring(directory, password);
    const nextKey = randomKey();
    // Both are known before a page is written: after a crash the file tells which of them it has.
    await writeKeyring(directory, password, { ...keys, nextKey });
    const open = await this.#pause();
    try {
      await closeReading(this.#reading);
      const result = await writer.run({ kind: 'rekey', dataKey: nextKey });
      if (result.kind === 'refused') throw toError(result.refusal);
    } finally {
      const { dataKey } = await settleKeys(directory, password);
      this.#reading = this.#openReading({ ...this.#reading.access, dataKey });
      open();
    }
  }

  health(): EngineHealth {
    const { state, writer, access } = this.#parts;
    const open = state.fault === undefined ? 'ready' : 'readOnly';
    return {
      state: this.#closing === undefined ? open : 'closed',
      detail: state.fault ?? '',
      lastSequence: toSequence(state.lastSequence),
      durableSequence: toSequence(state.durableSequence),
      ...{ historyBytes: state.historyBytes, queuedBytes: writer.queuedBytes() },
      storedBytes: sizeOf(access.file) + sizeOf(`${access.file}-wal`),
    };
  }

  figures = (): EngineFigures => figuresOf(this.#reading, this.#parts);

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#gate;
    await this.#parts.writer.close();
    await closeReading(this.#reading);
    this.#parts.release();
  }

  #openReading(access: StoreAccess): Reading {
    const { writer, state, readers } = this.#parts;
    // Reads of a transaction are part of it: they never wait for the gate that waits for them.
    const own: DocumentReader = {
      get: (collection, keys, options = {}) => this.#get(collection, keys, options),
      query: (query, options) => this.#run<'query'>({ kind: 'query', query }, options),
    };
    return openReading(access, { writer, state, readers, own });
  }

  /** Lets what is under way end and holds back what comes; returns what lets it go on. */
  async #pause(): Promise<() => void> {
    while (this.#gate !== undefined) await this.#gate;
    let open = (): void => undefined;
    this.#gate = new Promise((resolve) => {
      open = () => {
        this.#gate = undefined;
        resolve();
      };
    });
    while (this.#active > 0) await delay(DRAIN_STEP_MS);
    return open;
  }

  async #use<T>(work: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    while (this.#gate !== undefined) await this.#gate;
    this.#active += 1;
    try {
      return await work();
    } finally {
      this.#active -= 1;
    }
  }

  async #get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions,
  ): Promise<readonly (StoredDocument | undefined)[]> {
    const isHere = options.atSequence === undefined && keys.length <= MAIN_KEYS_MAX;
    if (isHere) return this.#getHere(collection, keys);
    return await this.#run<'get'>({ kind: 'get', collection, keys }, options);
  }

  #read<K extends ReadTask['kind']>(
    task: Extract<ReadTask, { kind: K }>,
    options: ReadOptions = {},
  ): Promise<ReadResults[K]> {
    return this.#use(() => this.#run<K>(task, options));
  }

  async #run<K extends ReadTask['kind']>(
    task: Extract<ReadTask, { kind: K }>,
    { atSequence, signal }: ReadOptions = {},
  ): Promise<ReadResults[K]> {
    return await this.#reading.pool.run<K>(task, {
      nowMs: this.#parts.clock.now(),
      atSequence: atSequence === undefined ? undefined : Number(atSequence),
      signal,
    });
  }

  async #ask(task: WriterTask): Promise<WriterResult> {
    this.#assertOpen();
    const result = await this.#parts.writer.run(task);
    if (result.kind === 'refused') throw toError(result.refusal);
    return result;
  }

  #getHere(collection: string, keys: readonly string[]): readonly (StoredDocument | undefined)[] {
    const { cache, clock } = this.#parts;
    const nowMs = clock.now();
    const isFresh = this.#isCacheFresh();
    if (isFresh && keys.length === 1) {
      const cached = cache.get(collection, keys[0] ?? '');
      if (cached !== undefined && !isExpired(cached, nowMs)) return [cached];
    }
    const found = this.#reading.reader.get(collection, keys, { atSequence: undefined, nowMs });
    // What was read belongs to the cache only when no commit came in between.
    if (isFresh && this.#isCacheFresh())
      for (const document of found) if (document) cache.set(document);
    return found;
  }

  /** No commit is under way that this thread has not been told of. */
  #isCacheFresh(): boolean {
    return Atomics.load(this.#parts.commits, 0) === this.#parts.state.commits;
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return;
    throw new DomainError('ENGINE_UNAVAILABLE', 'the store is closed');
  }
}

function notEncrypted(): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    'the store is not encrypted; stop the server and use `molten encryption rotate-offline` to encrypt it',
  );
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
