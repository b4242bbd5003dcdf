/**
 * The embedded engine: one SQLite file that is log and store at once, one thread that writes, a few that
 * read. The main thread reads single documents itself, from a bounded cache or its own connection, and
 * hands everything that may take long to the reader threads.
 *
 * A read never waits for a write: each is a read transaction on the newest commit. The cache is used only
 * while no commit is under way (a counter shared with the writer tells), so that no read goes back in
 * time behind another.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { delay } from '../../platform/timers.ts';
import type {
  Committed,
  EngineHealth,
  ReadOptions,
  StorageEngine,
  TransactOptions,
  Transaction,
} from '../engine.ts';
import { toSequence, toVersion, type StoredDocument } from '../types.ts';
import { findAnswer } from './commit.ts';
import { createStatements, type Connection } from './database.ts';
import type { DocumentCache } from './document-cache.ts';
import type { Answer, CommitOutcome, ReadResults, ReadTask, StoreAccess } from './protocol.ts';
import { createReader, wrongEpoch } from './reader.ts';
import type { ReaderPool } from './reader-pool.ts';
import { toError } from './refusal.ts';
import { indexOf } from './rows.ts';
import { takeSnapshot } from './snapshot.ts';
import type { StoreState } from './store-state.ts';
import { createDraft } from './transaction.ts';
import type { WriterThread } from './writer-thread.ts';

/** The opened parts of a store. */
export interface EngineParts {
  readonly access: StoreAccess;
  readonly epoch: string;
  readonly clock: Clock;
  readonly connection: Connection;
  readonly writer: WriterThread;
  readonly pool: ReaderPool;
  readonly cache: DocumentCache;
  readonly state: StoreState;
  /** Counts commits begun; shared with the writer. */
  readonly commits: Int32Array;
  /** Releases what belongs to the directory, after everything else is closed. */
  readonly release: () => void;
}

/** Keys read on the main thread at once; more go to a reader thread. */
const MAIN_KEYS_MAX = 64;
const RERUNS_MAX = 16;
const JITTER_MS = 4;

/** Assembles the engine. */
export function createEngine(parts: EngineParts): StorageEngine {
  const { access, epoch, clock, connection, writer, pool, cache, state } = parts;
  const reader = createReader(connection);
  const sql = createStatements(connection);
  let closing: Promise<void> | undefined;

  function read<K extends ReadTask['kind']>(
    task: Extract<ReadTask, { kind: K }>,
    options: ReadOptions = {},
  ): Promise<ReadResults[K]> {
    const { atSequence, signal } = options;
    return pool.run<K>(task, {
      nowMs: clock.now(),
      atSequence: atSequence === undefined ? undefined : Number(atSequence),
      signal,
    });
  }

  function isCacheFresh(): boolean {
    return Atomics.load(parts.commits, 0) === state.commits;
  }

  function getHere(
    collection: string,
    keys: readonly string[],
  ): readonly (StoredDocument | undefined)[] {
    const nowMs = clock.now();
    const isFresh = isCacheFresh();
    if (isFresh && keys.length === 1) {
      const [key = ''] = keys;
      const cached = cache.get(collection, key);
      if (cached !== undefined && !isExpired(cached, nowMs)) return [cached];
    }
    const found = reader.get(collection, keys, { atSequence: undefined, nowMs });
    // A commit that came in between may be newer than what was read.
    if (isFresh && isCacheFresh()) for (const document of found) if (document) cache.set(document);
    return found;
  }

  async function get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions = {},
  ): Promise<readonly (StoredDocument | undefined)[]> {
    assertOpen(closing);
    if (options.atSequence === undefined && keys.length <= MAIN_KEYS_MAX)
      return getHere(collection, keys);
    return await read<'get'>({ kind: 'get', collection, keys }, options);
  }

  function remembered<T>({ request }: TransactOptions): Committed<T> | undefined {
    const outcome = request && findAnswer(sql, request);
    return outcome && finished<T>(outcome, undefined);
  }

  async function attempt<T>(
    options: TransactOptions,
    body: (transaction: Transaction) => T | Promise<T>,
  ): Promise<Committed<T> | undefined> {
    const draft = createDraft({
      get,
      query: (query, how) => read<'query'>({ kind: 'query', query }, how),
    });
    const value = await body(draft.transaction);
    draft.seal();
    assertNotAborted(options.signal);
    const { durability, request } = options;
    const work = {
      seen: draft.seen(),
      seenCollections: draft.seenCollections(),
      operations: draft.operations(),
    };
    const isEmpty = Object.values(work).every((list) => list.length === 0);
    if (isEmpty && request === undefined) return nothingDone(value, options);
    const text = request === undefined ? undefined : JSON.stringify(value);
    const outcome = await writer.commit({ durability, request, value: text, ...work });
    return outcome.kind === 'changed' ? undefined : finished(outcome, { value });
  }

  function nothingDone<T>(value: T, { durability }: TransactOptions): Committed<T> {
    return {
      ...{ value, writes: [], durability, replayed: false },
      sequence: toSequence(state.lastSequence),
      timestampMs: state.lastTimestampMs,
    };
  }

  async function transact<T>(
    options: TransactOptions,
    body: (transaction: Transaction) => T | Promise<T>,
  ): Promise<Committed<T>> {
    for (let run = 0; run <= RERUNS_MAX; run++) {
      assertOpen(closing);
      assertNotAborted(options.signal);
      const before = remembered<T>(options);
      if (before !== undefined) return before;
      try {
        const committed = await attempt(options, body);
        if (committed !== undefined) return committed;
      } catch (error) {
        // A twin of this request may have committed while the body ran; then its answer counts.
        const twin = isOpen() ? remembered<T>(options) : undefined;
        if (twin === undefined) throw error;
        return twin;
      }
      await delay(randomInt(JITTER_MS * (run + 1)) + 1, options.signal);
    }
    throw new DomainError(
      'TRANSACTION_CONFLICT',
      `what the transaction read changed ${(RERUNS_MAX + 1).toString()} times before it could commit; try again`,
      { metadata: { attempts: (RERUNS_MAX + 1).toString() } },
    );
  }

  function isOpen(): boolean {
    return closing === undefined;
  }

  function health(): EngineHealth {
    return {
      state: closing === undefined ? (state.fault === undefined ? 'ready' : 'readOnly') : 'closed',
      detail: state.fault ?? '',
      lastSequence: toSequence(state.lastSequence),
      durableSequence: toSequence(state.durableSequence),
      queuedBytes: writer.queuedBytes(),
      storedBytes: sizeOf(access.file) + sizeOf(`${access.file}-wal`),
    };
  }

  async function close(): Promise<void> {
    await writer.close();
    await pool.close();
    connection.close();
    parts.release();
  }

  const engine: StorageEngine = {
    get,
    query: (query, options) => read<'query'>({ kind: 'query', query }, options),
    aggregate: (aggregation, options) =>
      read<'aggregate'>({ kind: 'aggregate', aggregation }, options),
    explain: (query, options) => read<'explain'>({ kind: 'explain', query }, options),
    transact,
    async flush() {
      await writer.run({ kind: 'flush' });
      return toSequence(state.durableSequence);
    },
    collections: () => Promise.resolve(state.collections()),
    findCollection: (name) => Promise.resolve(state.collection(name)),
    async createIndex(spec) {
      const result = await writer.run({ kind: 'createIndex', spec });
      if (result.kind === 'refused') throw toError(result.refusal);
      if (result.kind === 'index') return indexOf(spec.collection, result.index);
      throw new DomainError('INTERNAL', 'the writer gave the wrong answer to createIndex');
    },
    async dropIndex(collection, name) {
      const result = await writer.run({ kind: 'dropIndex', collection, name });
      if (result.kind === 'refused') throw toError(result.refusal);
    },
    indexes: (collection) => Promise.resolve(state.indexes(collection)),
    head: () =>
      Promise.resolve({
        epoch,
        sequence: toSequence(state.lastSequence),
        timestampMs: state.lastTimestampMs,
        durableSequence: toSequence(state.durableSequence),
        oldest: toSequence(0),
      }),
    async readLog(after, { limit, signal }) {
      if (after.epoch !== epoch) throw wrongEpoch(after.epoch);
      return await read<'log'>({ kind: 'log', after: Number(after.sequence), limit }, { signal });
    },
    sequenceAt: (timestampMs) => read<'sequenceAt'>({ kind: 'sequenceAt', timestampMs }),
    onCommit: (listener) => state.onCommit(listener),
    expired: (limit) => read<'expired'>({ kind: 'expired', limit }),
    snapshot: (directory, signal) =>
      takeSnapshot(access, { directory, name: randomUUID(), signal }),
    health,
    close() {
      closing ??= close();
      return closing;
    },
    [Symbol.asyncDispose]: () => engine.close(),
  };
  return engine;
}

/** Where a commit ends: the answer as the port gives it, or the refusal as an error. */
function finished<T>(
  outcome: Exclude<CommitOutcome, { kind: 'changed' }>,
  own: { readonly value: T } | undefined,
): Committed<T> {
  if (outcome.kind === 'refused') throw toError(outcome.refusal);
  const { answer } = outcome;
  const replayed = outcome.kind === 'replayed';
  return {
    value: own === undefined || replayed ? valueOf<T>(answer) : own.value,
    writes: answer.writes.map((written) => ({
      ...written,
      version: toVersion(written.version),
      sequence: toSequence(written.sequence),
      createdSequence: toSequence(written.createdSequence),
    })),
    sequence: toSequence(answer.sequence),
    timestampMs: answer.timestampMs,
    durability: answer.durability,
    replayed,
  };
}

/** The remembered value of a callback; it was written by a callback of the same request. */
function valueOf<T>({ value }: Answer): T {
  return (value === undefined ? undefined : JSON.parse(value)) as T;
}

function isExpired(document: StoredDocument, nowMs: number): boolean {
  return document.expiresAtMs !== undefined && document.expiresAtMs <= nowMs;
}

function assertOpen(closing: Promise<void> | undefined): void {
  if (closing !== undefined) throw new DomainError('ENGINE_UNAVAILABLE', 'the store is closed');
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new DomainError('CANCELED', 'the transaction was canceled');
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
