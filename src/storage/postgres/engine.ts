/**
 * The PostgreSQL engine: several nodes over one database, none of which knows more than another. A
 * node keeps nothing that has to be handed over. Its writes share commits, and commits of all nodes go
 * through one locked row, the clock, so that the log is as dense and ordered as that of one machine.
 *
 * Nothing here relies on more than transactions that are read committed, row locks and snapshots: neither
 * on sequences, whose numbers become visible out of order, nor on advisory locks, notifications or
 * transaction ids.
 */
import { DomainError } from '../../errors/domain-error.ts';
import { systemClock, type Clock } from '../../platform/clock.ts';
import { answerOf } from '../commit/committer.ts';
import { collectionOf, indexOf, type CollectionRow, type IndexRow } from '../commit/rows.ts';
import { createTransactor, type Remembered, type Transactor } from '../commit/transactor.ts';
import type {
  Committed,
  EngineCapabilities,
  EngineFigures,
  EngineHealth,
  Lease,
  FollowListener,
  LogHead,
  LogReadOptions,
  ReadOptions,
  RequestIdentity,
  SharedBudgets,
  SharedJobs,
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
import { drawBudgets } from './budgets.ts';
import { compactTurn, createIndexTurn, dropIndexTurn, flushTurn } from './catalog-turns.ts';
import { readClock, type ClockRow } from './clock-row.ts';
import type { Connection, ConnectionPool } from './connections.ts';
import { copyStore, type CopyParts } from './copy.ts';
import { translate } from './errors.ts';
import { OUT_OF_REACH_MS, type Followers } from './followers.ts';
import { createSharedJobs, type DoneJobs } from './jobs.ts';
import { releaseLeases, takeLease } from './lease.ts';
import { readLog, sequenceAt } from './log-reader.ts';
import { leave } from './nodes.ts';
import type { Pins } from './pins.ts';
import { createReader, type Reader } from './reader.ts';
import { inSnapshot, readableSequence } from './snapshot.ts';
import type { StoreState } from './state.ts';
import { assertStorable } from './storable.ts';
import type { Tailer } from './tailer.ts';
import type { Writer } from './writer.ts';

/** The opened parts of a node. */
export interface EngineParts {
  /** Names this node. */
  readonly node: string;
  /** The database in words, for operators. */
  readonly name: string;
  readonly clock: Clock;
  readonly pool: ConnectionPool;
  readonly writer: Writer;
  readonly tailer: Tailer;
  readonly state: StoreState;
  readonly pins: Pins;
  readonly followers: Followers;
  readonly done: DoneJobs;
  /** Bytes of all tables, as of the last count. */
  readonly storedBytes: () => number;
  /** Undefined: it is not copied. */
  readonly copies: CopyParts | undefined;
}

const OUT_OF_STEP = 'this node is out of step with the log; try again, or another node';

const COLLECTIONS = 'SELECT * FROM collection WHERE retired IS NULL ORDER BY name';
const PAST_COLLECTIONS = `SELECT * FROM collection
  WHERE born <= $1 AND (retired IS NULL OR retired > $1) ORDER BY name`;
const COLLECTION = 'SELECT * FROM collection WHERE name = $1 AND retired IS NULL';
const INDEXES = `SELECT i.* FROM collection c JOIN idx i ON i.collection = c.id
  WHERE c.name = $1 AND c.retired IS NULL ORDER BY i.name`;
const ANSWER = 'SELECT fingerprint, answer FROM request WHERE principal = $1 AND id = $2';
const EXPIRED = `SELECT c.name AS collection, h.key
  FROM collection c JOIN head h ON h.collection = c.id
  WHERE c.retired IS NULL AND h.expires_at <= $1 ORDER BY h.expires_at, h.key LIMIT $2`;

/** Assembles the engine. */
export function createEngine(parts: EngineParts): StorageEngine {
  return new PostgresEngine(parts);
}

class PostgresEngine implements StorageEngine {
  readonly capabilities: EngineCapabilities;
  readonly budgets: SharedBudgets = {
    draw: (draws) => this.#ask((connection) => drawBudgets(connection, draws)),
  };
  readonly jobs: SharedJobs;
  readonly #parts: EngineParts;
  readonly #reader: Reader;
  readonly #transactor: Transactor;
  #closing: Promise<void> | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const copy = parts.copies !== undefined;
    this.capabilities = { shared: true, copy, encryption: false };
    this.jobs = createSharedJobs(parts.node, parts.done, (work) => this.#ask(work));
    this.#reader = createReader(parts.pool, parts.clock);
    this.#transactor = createTransactor({
      reader: this,
      commit: async (request, signal) => {
        assertStorable(request);
        return await parts.writer.commit(request, signal);
      },
      remembered: (identity) => this.#remembered(identity),
      position: async () => {
        const { seq: sequence, ts: timestampMs } = await this.#clock();
        return { sequence, timestampMs };
      },
    });
  }

  async get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions = {},
  ): Promise<readonly (StoredDocument | undefined)[]> {
    this.#assertOpen();
    return await this.#reader.get(collection, keys, options);
  }

  async query(query: Query, options: ReadOptions = {}): Promise<QueryPage> {
    this.#assertOpen();
    return await this.#reader.query(query, options);
  }

  async aggregate(aggregation: Aggregation, options: ReadOptions = {}): Promise<AggregationResult> {
    this.#assertOpen();
    return await this.#reader.aggregate(aggregation, options);
  }

  async explain(query: Query, options: ReadOptions = {}): Promise<QueryPlan> {
    this.#assertOpen();
    return await this.#reader.explain(query, options);
  }

  async transact<T>(
    options: TransactOptions,
    body: (transaction: Transaction) => T | Promise<T>,
  ): Promise<Committed<T>> {
    this.#assertOpen();
    return await this.#transactor.transact(options, body);
  }

  async flush(): Promise<Sequence> {
    this.#assertOpen();
    return toSequence(await this.#parts.writer.run(flushTurn()));
  }

  async collections({ atSequence }: Pick<ReadOptions, 'atSequence'> = {}): Promise<
    readonly CollectionRecord[]
  > {
    const rows = await this.#ask(async (connection) => {
      if (atSequence === undefined) return await connection.rows<CollectionRow>(COLLECTIONS);
      const at = readableSequence(await readClock(connection), atSequence);
      return await connection.rows<CollectionRow>(PAST_COLLECTIONS, [at]);
    });
    return rows.map(collectionOf);
  }

  async findCollection(name: string): Promise<CollectionRecord | undefined> {
    const [row] = await this.#ask((connection) =>
      connection.rows<CollectionRow>(COLLECTION, [name]),
    );
    return row && collectionOf(row);
  }

  async createIndex(spec: IndexSpec): Promise<IndexRecord> {
    this.#assertOpen();
    const { writer, clock } = this.#parts;
    return indexOf(spec.collection, await writer.run(createIndexTurn(spec, clock.now())));
  }

  async dropIndex(collection: string, name: string): Promise<void> {
    this.#assertOpen();
    const { writer, clock } = this.#parts;
    await writer.run(dropIndexTurn({ collection, name }, clock.now()));
  }

  async indexes(collection: string): Promise<readonly IndexRecord[]> {
    const rows = await this.#ask((connection) => connection.rows<IndexRow>(INDEXES, [collection]));
    return rows.map((row) => indexOf(collection, row));
  }

  async head(): Promise<LogHead> {
    const { epoch, seq, ts, durable_seq: durable, floor } = await this.#clock();
    return {
      ...{ epoch, sequence: toSequence(seq), timestampMs: ts },
      ...{ durableSequence: toSequence(durable), oldest: toSequence(floor) },
    };
  }

  async readLog(after: Position, options: LogReadOptions): Promise<readonly LogEntry[]> {
    return await this.#ask((connection) => readLog(connection, after, options));
  }

  async sequenceAt(timestampMs: number): Promise<Sequence> {
    this.#assertOpen();
    try {
      return toSequence(
        await inSnapshot(this.#parts.pool, (snapshot) => sequenceAt(snapshot, timestampMs)),
      );
    } catch (error) {
      throw translate(error);
    }
  }

  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe {
    return this.#parts.state.onCommit(listener);
  }

  follow(collection: string, listener: FollowListener): Unsubscribe {
    return this.#parts.followers.add(collection, listener);
  }

  async catchUp(): Promise<void> {
    this.#assertOpen();
    if (this.health().state !== 'ready') throw unavailable(OUT_OF_STEP);
    await this.#parts.tailer.catchUp();
    // What it saw may be another timeline.
    this.#assertOpen();
  }

  async compact(floor: Sequence, lease?: Lease): Promise<Sequence> {
    this.#assertOpen();
    const lowest = this.#parts.pins.lowest() ?? floor;
    const asked = Number(lowest < floor ? lowest : floor);
    const clock = await this.#parts.writer.run(compactTurn(asked, lease));
    return toSequence(clock.floor);
  }

  lease(job: string): Promise<Lease | undefined> {
    const { node } = this.#parts;
    return this.#ask((connection) => takeLease(connection, { job, node }));
  }

  pin(lowest: () => Sequence | undefined): Unsubscribe {
    return this.#parts.pins.add(lowest);
  }

  async expired(
    limit: number,
  ): Promise<readonly { readonly collection: string; readonly key: string }[]> {
    return await this.#ask((connection) =>
      connection.rows<{ collection: string; key: string }>(EXPIRED, [
        ...[this.#parts.clock.now(), limit],
      ]),
    );
  }

  async copy(directory: string, signal?: AbortSignal): Promise<StoreCopy> {
    this.#assertOpen();
    const { copies } = this.#parts;
    if (copies === undefined) throw notHere('is not copied where nothing writes copies');
    return await copyStore(copies, directory, signal);
  }

  derivedKey(purpose: string): Uint8Array | undefined {
    return this.#parts.copies?.writer.derivedKey(purpose);
  }

  rotateDataKey(): Promise<void> {
    return Promise.reject(notHere('does not encrypt; encrypt the disks of the database'));
  }

  health(): EngineHealth {
    const { name, state, writer, followers, storedBytes } = this.#parts;
    const { seq, durable_seq: durable, history_bytes: historyBytes } = state.clock;
    const lagMs = Math.round(systemClock.monotonic() - followers.currentAtMs);
    const problem = state.outdated ?? (lagMs <= OUT_OF_REACH_MS ? undefined : unheard(lagMs));
    const open = problem === undefined ? 'ready' : 'readOnly';
    return {
      state: this.#closing === undefined ? open : 'closed',
      detail: problem === undefined ? '' : `${name}: ${problem}`,
      lagMs,
      lastSequence: toSequence(seq),
      durableSequence: toSequence(durable),
      ...{ historyBytes, queuedBytes: writer.queuedBytes, storedBytes: storedBytes() },
    };
  }

  figures(): EngineFigures {
    const { pool, writer } = this.#parts;
    const readers = [{ pool: 'queries' as const, waiting: pool.waiting, busy: pool.busy }];
    // Other nodes write as well: what is kept here could be of the past.
    const cache = { cacheHits: 0, cacheMisses: 0, cachedDocuments: 0, cachedBytes: 0 };
    return { commits: writer.commits, ...cache, cachedBytesMax: 0, readers };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { node, writer, tailer, pool } = this.#parts;
    await writer.close();
    await tailer.close();
    // In a database that is away its leases and its row run out by themselves.
    await pool
      .use(async (connection) => {
        await releaseLeases(connection, node);
        await leave(connection, node);
      })
      .catch(() => undefined);
    await pool.close();
  }

  async #clock(): Promise<ClockRow> {
    const row = await this.#ask(readClock);
    this.#parts.state.apply(row);
    return row;
  }

  async #remembered(identity: RequestIdentity): Promise<Remembered | undefined> {
    const { principal, id } = identity;
    const [row] = await this.#ask((connection) =>
      connection.rows<{ fingerprint: string; answer: string }>(ANSWER, [principal, id]),
    );
    return row && answerOf(identity, row);
  }

  async #ask<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    this.#assertOpen();
    try {
      return await this.#parts.pool.use(work);
    } catch (error) {
      throw translate(error);
    }
  }

  #assertOpen(): void {
    const { outdated } = this.#parts.state;
    if (this.#closing !== undefined) throw unavailable('the store is closed');
    if (outdated !== undefined) throw unavailable(`${outdated}; restart this node`);
  }
}

function unavailable(why: string): DomainError {
  return new DomainError('ENGINE_UNAVAILABLE', why);
}

function unheard(lagMs: number): string {
  return `was last heard of ${inSeconds(lagMs)} ago; from ${inSeconds(OUT_OF_REACH_MS)} on nobody is let in`;
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(0)} s`;
}

function notHere(what: string): DomainError {
  return new DomainError('FEATURE_DISABLED', `a store on PostgreSQL ${what}`);
}
