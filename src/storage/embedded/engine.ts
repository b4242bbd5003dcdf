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
import type {
  Committed,
  DocumentReader,
  EngineFigures,
  EngineHealth,
  Lease,
  LogHead,
  LogReadOptions,
  ReadOptions,
  StorageEngine,
  StoreCopy,
  TransactOptions,
  Transaction,
  Unsubscribe,
} from '../engine.ts';
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
import { failureOf } from './damage.ts';
import { createGate } from './gate.ts';
import { deriveKey } from './keyring.ts';
import type { LogRequest } from './log-reader.ts';
import { wrongEpoch } from '../commit/refusals.ts';
import { toError } from '../commit/operations.ts';
import { indexOf } from '../commit/rows.ts';
import type { ReadResults, ReadTask, StoreAccess, WriterResult, WriterTask } from './protocol.ts';
import { isPointRead } from './point-reads.ts';
import {
  closeReading,
  figuresOf,
  openReading,
  type Reading,
  type ReadingParts,
} from './reading.ts';
import { toRefusal } from './refusal.ts';
import { beginRotation, dataKeyOf, settleKeys, type PendingKeys } from './store-keys.ts';

/** The opened parts of a store. */
export interface EngineParts extends Omit<ReadingParts, 'own'> {
  readonly access: StoreAccess;
  readonly epoch: string;
  /** Absent: a cleartext store. */
  readonly encryption: Encryption | undefined;
  /** Releases what belongs to the directory, after everything else is closed. */
  readonly release: () => void;
}

/** What an encrypted store is opened and rotated with. */
export interface Encryption {
  readonly directory: string;
  readonly password: string;
  readonly rootKey: string;
}

/** Log entries, and characters of their bodies, read on the main thread at once. */
const MAIN_ENTRIES_MAX = 128;
const MAIN_CHARS_MAX = 256 * 1024;

/** Assembles the engine. */
export function createEngine(parts: EngineParts): StorageEngine {
  return new EmbeddedEngine(parts);
}

class EmbeddedEngine implements StorageEngine {
  readonly capabilities = { shared: false, copy: true, encryption: true };
  readonly budgets = undefined;
  readonly jobs = undefined;
  readonly #parts: EngineParts;
  #reading: Reading;
  /** What uses the connections passes it; what changes them runs alone. */
  readonly #gate = createGate();
  /** Copies and changes of the data key, one after the other: each works on the whole file. */
  #maintenance: Promise<unknown> = Promise.resolve();
  readonly #pins = new Set<() => Sequence | undefined>();
  readonly #stop = new AbortController();
  #closing: Promise<void> | undefined;
  /** Why nothing can be read any more. */
  #unusable: DomainError | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#reading = this.#openReading(parts.access);
  }

  async get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions = {},
  ): Promise<readonly (StoredDocument | undefined)[]> {
    this.#assertOpen();
    // The commonest call: nothing is waited for, so it need not be counted as under way.
    if (this.#gate.isOpen && isPointRead(keys, options)) {
      return this.#reading.points(collection, keys);
    }
    return await this.#use(() => this.#get(collection, keys, options));
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

  // Nobody else writes, and nobody else does any job.
  follow = (): Unsubscribe => () => undefined;
  catchUp = (): Promise<void> => Promise.resolve();
  lease = (job: string): Promise<Lease> => Promise.resolve({ job, fence: 0 });

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

  copy(directory: string, signal?: AbortSignal): Promise<StoreCopy> {
    const { state } = this.#parts;
    const flush = (): Promise<Sequence> => this.flush();
    return this.#maintain(() => {
      const ends = AbortSignal.any([this.#stop.signal, ...(signal === undefined ? [] : [signal])]);
      return copyStore({ access: this.#reading.access, state, flush }, directory, ends);
    });
  }

  derivedKey(purpose: string): Uint8Array | undefined {
    return deriveKey(this.#parts.encryption?.rootKey, purpose);
  }

  rotateDataKey(): Promise<void> {
    return this.#maintain(async () => {
      const { encryption } = this.#parts;
      if (encryption === undefined) throw notEncrypted();
      const { directory, password } = encryption;
      const keys = await beginRotation(directory, password);
      await this.#gate.alone(() => this.#rekey(directory, keys));
      await settleKeys(directory, password);
    });
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
      // Asks the disk, and hardly anybody asks for it.
      get storedBytes() {
        return sizeOf(access.file) + sizeOf(`${access.file}-wal`);
      },
    };
  }

  figures = (): EngineFigures => figuresOf(this.#reading, this.#parts);

  close = (): Promise<void> => (this.#closing ??= this.#close());

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    await this.#maintenance;
    // The writer goes last: whoever closes a file last puts what is in its write-ahead log into it.
    await closeReading(this.#reading);
    await this.#parts.writer.close();
    this.#parts.release();
  }

  #openReading(access: StoreAccess): Reading {
    // Reads of a transaction are part of it: they never wait for the gate that waits for them.
    const own: DocumentReader = {
      get: (collection, keys, options = {}) => this.#get(collection, keys, options),
      query: (query, options) => this.#run<'query'>({ kind: 'query', query }, options),
    };
    return openReading(access, { ...this.#parts, own });
  }

  #maintain<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#maintenance.then(() => {
      this.#assertOpen();
      return work();
    });
    this.#maintenance = turn.catch(() => undefined);
    return turn;
  }

  /** Writes the pages again under the next key; whether that was done or not, the file is read on. */
  async #rekey(directory: string, keys: PendingKeys): Promise<void> {
    await closeReading(this.#reading);
    try {
      const result = await this.#parts.writer.run({ kind: 'rekey', dataKey: keys.nextKey });
      if (result.kind === 'refused') throw toError(result.refusal);
    } finally {
      this.#reopen(directory, keys);
    }
  }

  #reopen(directory: string, keys: PendingKeys): void {
    try {
      const dataKey = dataKeyOf(directory, keys);
      this.#reading = this.#openReading({ ...this.#reading.access, dataKey });
    } catch (error) {
      this.#unusable = toError(toRefusal(error));
      this.#parts.state.fail(this.#unusable.message);
      throw this.#unusable;
    }
  }

  async #use<T>(work: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    return await this.#gate.pass(async () => {
      this.#assertOpen();
      try {
        return await work();
      } catch (error) {
        throw failureOf(error, this.#parts);
      }
    });
  }

  async #get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions,
  ): Promise<readonly (StoredDocument | undefined)[]> {
    if (isPointRead(keys, options)) return this.#reading.points(collection, keys);
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

  #assertOpen(): void {
    if (this.#closing !== undefined) {
      throw new DomainError('ENGINE_UNAVAILABLE', 'the store is closed');
    }
    if (this.#unusable !== undefined) throw this.#unusable;
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
