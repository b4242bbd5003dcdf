/**
 * The writer: the only code that changes the file. It runs in a thread of its own and takes one task at
 * a time; all transactions of a `commit` task share one SQLite transaction and one fsync.
 */
import { DomainError } from '../../errors/domain-error.ts';
import { systemClock } from '../../platform/clock.ts';
import { createBackground, type Background } from './background.ts';
import { createWriterCatalog, type WriterCatalog } from '../commit/catalog.ts';
import { createCommitter, type Committer } from '../commit/committer.ts';
import type { LogWriter } from '../commit/log-writer.ts';
import type { CommitOutcome, CommitRequest } from '../commit/operations.ts';
import { collectionNotFound, indexExists, indexNotFound } from '../commit/refusals.ts';
import type { CommitStore } from '../commit/store.ts';
import { createStatements, sqliteCode, type Connection, type Sql } from './database.ts';
import { readFloor, saveFloor } from './floor.ts';
import { createLogWriter, wholeCommit } from './log-writer.ts';
import { changeKey } from './page-cipher.ts';
import type { WriterResult, WriterState, WriterTask } from './protocol.ts';
import { toRefusal } from './refusal.ts';
import type { IndexSpec } from '../types.ts';
import { createSqlStore } from './sql-store.ts';

/** Does the tasks of the writer thread. Calls must not overlap. */
export interface Writer {
  /** `nowMs` is the wall time of the main thread, so that all threads expire alike. */
  run(task: WriterTask, nowMs: number): WriterResult;
  /** Does one slice of background work; false when none is left. */
  work(): boolean;
  /** Makes everything committed durable; false when it was already. */
  flush(): boolean;
  /** What changed since the last call. */
  takeState(): WriterState;
}

/** Creates the writer of an open, prepared file. `commits` counts commits right before each is visible. */
export function createWriter(database: Connection, commits: Int32Array): Writer {
  return new FileWriter(database, commits);
}

/** What is made anew after a failed commit. */
interface LogTools {
  readonly log: LogWriter;
  readonly committer: Committer;
  readonly background: Background;
}

class FileWriter implements Writer {
  readonly #database: Connection;
  readonly #commits: Int32Array;
  readonly #sql: Sql;
  readonly #store: CommitStore;
  readonly #catalog: WriterCatalog;
  #tools: LogTools;
  #durableSequence: number;
  #isUnflushed = false;
  #isFull: boolean | undefined;
  #fault: string | undefined;
  #floor: number;
  #syncsMs: number[] = [];

  constructor(database: Connection, commits: Int32Array) {
    this.#database = database;
    this.#commits = commits;
    this.#sql = createStatements(database);
    this.#store = createSqlStore(this.#sql);
    this.#catalog = createWriterCatalog(this.#store);
    this.#tools = this.#createTools();
    this.#durableSequence = this.#tools.log.position().sequence;
    this.#floor = readFloor(this.#sql).sequence;
  }

  run(task: WriterTask, nowMs: number): WriterResult {
    try {
      return this.#runTask(task, nowMs);
    } catch (error) {
      return { kind: 'refused', refusal: toRefusal(error) };
    }
  }

  work(): boolean {
    if (this.#fault !== undefined) return false;
    const { log, background } = this.#tools;
    return this.#inTransaction({ full: false, nowMs: log.nowMs() }, () => background.slice());
  }

  flush(): boolean {
    if (!this.#isUnflushed || this.#fault !== undefined) return false;
    const { log } = this.#tools;
    this.#inTransaction({ full: true, nowMs: log.nowMs() }, () =>
      this.#sql(`UPDATE meta SET value = ? WHERE name = 'flushed'`).run(log.position().sequence),
    );
    return true;
  }

  takeState(): WriterState {
    const { sequence, timestampMs } = this.#tools.log.position();
    const syncsMs = this.#syncsMs;
    this.#syncsMs = [];
    return {
      syncsMs,
      lastSequence: sequence,
      lastTimestampMs: timestampMs,
      durableSequence: this.#durableSequence,
      commits: Atomics.load(this.#commits, 0),
      floor: this.#floor,
      historyBytes: this.#tools.log.historyBytes(),
      ...this.#catalog.takeChanges(),
      fault: this.#fault,
    };
  }

  #createTools(): LogTools {
    const sql = this.#sql;
    const catalog = this.#catalog;
    const log = createLogWriter(sql, this.#store);
    const committer = createCommitter({ store: this.#store, catalog, log, refuse: toRefusal });
    return { log, committer, background: createBackground({ sql, catalog, log, committer }) };
  }

  #runTask(task: WriterTask, nowMs: number): WriterResult {
    switch (task.kind) {
      case 'commit':
        return { kind: 'committed', outcomes: this.#commit(task.commits, nowMs) };
      case 'createIndex':
        return this.#createIndex(task.spec, nowMs);
      case 'dropIndex':
        return this.#dropIndex(task, nowMs);
      case 'compact':
        return this.#compact(task.floor, nowMs);
      case 'rekey':
        changeKey(this.#database, task.dataKey);
        this.#database.pragma('wal_checkpoint(TRUNCATE)');
        return { kind: 'done' };
      case 'stop':
        this.#fault ??= task.fault;
        return { kind: 'done' };
      case 'flush':
      case 'close':
        this.flush();
        return { kind: 'done' };
    }
  }

  #commit(group: readonly CommitRequest[], nowMs: number): readonly CommitOutcome[] {
    const full = group.some(({ durability }) => durability === 'sync');
    const { committer } = this.#tools;
    try {
      return this.#inTransaction({ full, nowMs }, () => group.map((one) => committer.apply(one)));
    } catch (error) {
      const refusal = toRefusal(error);
      return group.map(() => ({ kind: 'refused', refusal }));
    }
  }

  #createIndex(spec: IndexSpec, nowMs: number): WriterResult {
    return this.#inTransaction({ full: true, nowMs }, () => {
      const collection = this.#catalog.find(spec.collection);
      if (collection === undefined) throw collectionNotFound(spec.collection);
      if (collection.indexes.some(({ row }) => row.name === spec.name)) throw indexExists(spec);
      return { kind: 'index', index: this.#catalog.addIndex(collection, spec, nowMs) };
    });
  }

  #dropIndex(target: { collection: string; name: string }, nowMs: number): WriterResult {
    return this.#inTransaction({ full: true, nowMs }, () => {
      const collection = this.#catalog.find(target.collection);
      const index = collection?.indexes.find(({ row }) => row.name === target.name);
      if (collection === undefined || index === undefined) throw indexNotFound(target);
      this.#catalog.dropIndex(collection, index);
      return { kind: 'done' };
    });
  }

  /** The floor only rises, and never to the last entry, which the next one is numbered after. */
  #compact(asked: number, nowMs: number): WriterResult {
    const { log } = this.#tools;
    const sequence = wholeCommit(this.#sql, Math.min(asked, log.position().sequence - 1));
    if (sequence > this.#floor) {
      this.#inTransaction({ full: false, nowMs }, () => {
        const timestampMs = Number(this.#sql(TIME_OF).pluck().get(sequence) ?? 0);
        saveFloor(this.#sql, { ...readFloor(this.#sql), sequence, timestampMs });
      });
      this.#floor = sequence;
    }
    return { kind: 'done' };
  }

  /** Runs `body` in one SQLite transaction; on failure nothing of it stays, in memory neither. */
  #inTransaction<T>(options: { full: boolean; nowMs: number }, body: () => T): T {
    if (this.#fault !== undefined) throw new DomainError('READ_ONLY', this.#fault);
    this.#setSynchronous(options.full);
    try {
      this.#sql('BEGIN IMMEDIATE').run();
      this.#tools.log.setTime(options.nowMs);
      const result = body();
      this.#catalog.save();
      this.#tools.log.save();
      Atomics.add(this.#commits, 0, 1);
      this.#finishCommit(options.full);
      this.#isUnflushed = !options.full;
      if (options.full) this.#durableSequence = this.#tools.log.position().sequence;
      return result;
    } catch (error) {
      this.#recover(error);
      throw error;
    }
  }

  #finishCommit(full: boolean): void {
    const startMs = systemClock.monotonic();
    this.#sql('COMMIT').run();
    if (full) this.#syncsMs.push(systemClock.monotonic() - startMs);
  }

  /** May only change between transactions. */
  #setSynchronous(full: boolean): void {
    if (this.#isFull === full) return;
    this.#database.pragma(`synchronous = ${full ? 'FULL' : 'NORMAL'}`);
    this.#isFull = full;
  }

  /** After a failed commit only the file knows what is true. */
  #recover(error: unknown): void {
    const code = sqliteCode(error) ?? '';
    try {
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      this.#catalog.reload();
      this.#tools = this.#createTools();
      // What cannot be read or written any more must not be written on.
      if (/^SQLITE_(CORRUPT|IOERR|NOTADB)/.test(code)) this.#fault = faultOf(code);
    } catch {
      this.#fault = faultOf(code === '' ? 'an unknown error' : code);
    }
  }
}

const TIME_OF = 'SELECT ts FROM ver WHERE seq <= ? ORDER BY seq DESC LIMIT 1';

function faultOf(code: string): string {
  return `writing stopped after the store failed with ${code}; check the disk, then restart the server`;
}
