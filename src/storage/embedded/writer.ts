/**
 * The writer: the only code that changes the file. It runs in a thread of its own and takes one task at
 * a time; all transactions of a `commit` task share one SQLite transaction and one fsync.
 */
import { DomainError } from '../../errors/domain-error.ts';
import { createBackground } from './background.ts';
import { createCommitter } from './commit.ts';
import { createStatements, sqliteCode, type Connection } from './database.ts';
import { createLogWriter } from './log-writer.ts';
import type {
  CommitOutcome,
  CommitRequest,
  WriterResult,
  WriterState,
  WriterTask,
} from './protocol.ts';
import { toRefusal } from './refusal.ts';
import { createWriterCatalog } from './writer-catalog.ts';

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
  const sql = createStatements(database);
  const catalog = createWriterCatalog(sql);
  let log = createLogWriter(sql);
  let committer = createCommitter({ sql, catalog, log });
  let background = createBackground({ sql, catalog, log, committer });
  let durableSequence = log.position().sequence;
  let unflushed = false;
  let fault: string | undefined;
  let isFull: boolean | undefined;

  function setSynchronous(full: boolean): void {
    if (isFull === full) return;
    database.pragma(`synchronous = ${full ? 'FULL' : 'NORMAL'}`);
    isFull = full;
  }

  /** Runs `body` in one SQLite transaction; on failure nothing of it stays, in memory neither. */
  function inTransaction<T>(options: { full: boolean; nowMs: number }, body: () => T): T {
    if (fault !== undefined) throw new DomainError('READ_ONLY', fault);
    setSynchronous(options.full);
    try {
      sql('BEGIN IMMEDIATE').run();
      log.setTime(options.nowMs);
      const result = body();
      catalog.save();
      Atomics.add(commits, 0, 1);
      sql('COMMIT').run();
      unflushed = !options.full;
      if (options.full) durableSequence = log.position().sequence;
      return result;
    } catch (error) {
      recover(error);
      throw error;
    }
  }

  /** After a failed commit only the file knows what is true. */
  function recover(error: unknown): void {
    try {
      if (database.inTransaction) database.exec('ROLLBACK');
      catalog.reload();
      log = createLogWriter(sql);
      committer = createCommitter({ sql, catalog, log });
      background = createBackground({ sql, catalog, log, committer });
      // What cannot be read or written any more must not be written on.
      const code = sqliteCode(error) ?? '';
      if (/^SQLITE_(CORRUPT|IOERR|NOTADB)/.test(code)) fault = faultOf(code);
    } catch {
      fault = faultOf(sqliteCode(error) ?? 'an unknown error');
    }
  }

  function commit(group: readonly CommitRequest[], nowMs: number): readonly CommitOutcome[] {
    const full = group.some(({ durability }) => durability === 'sync');
    try {
      return inTransaction({ full, nowMs }, () => group.map((one) => committer.apply(one)));
    } catch (error) {
      const refusal = toRefusal(error);
      return group.map(() => ({ kind: 'refused', refusal }));
    }
  }

  function runTask(task: WriterTask, nowMs: number): WriterResult {
    switch (task.kind) {
      case 'commit':
        return { kind: 'committed', outcomes: commit(task.commits, nowMs) };
      case 'createIndex': {
        const { spec } = task;
        return inTransaction({ full: true, nowMs }, () => {
          const collection = catalog.find(spec.collection);
          if (collection === undefined) throw collectionNotFound(spec.collection);
          if (collection.indexes.some(({ row }) => row.name === spec.name)) throw indexExists(spec);
          return { kind: 'index', index: catalog.addIndex(collection, spec, nowMs) };
        });
      }
      case 'dropIndex':
        return inTransaction({ full: true, nowMs }, () => {
          const collection = catalog.find(task.collection);
          const index = collection?.indexes.find(({ row }) => row.name === task.name);
          if (collection === undefined || index === undefined) throw indexNotFound(task);
          catalog.dropIndex(collection, index);
          return { kind: 'done' };
        });
      case 'flush':
      case 'close':
        flush();
        return { kind: 'done' };
    }
  }

  function flush(): boolean {
    if (!unflushed || fault !== undefined) return false;
    inTransaction({ full: true, nowMs: log.nowMs() }, () =>
      sql(`UPDATE meta SET value = ? WHERE name = 'flushed'`).run(log.position().sequence),
    );
    return true;
  }

  return {
    run(task, nowMs) {
      try {
        return runTask(task, nowMs);
      } catch (error) {
        return { kind: 'refused', refusal: toRefusal(error) };
      }
    },
    work() {
      if (fault !== undefined) return false;
      return inTransaction({ full: false, nowMs: log.nowMs() }, () => background.slice());
    },
    flush,
    takeState: () => ({
      lastSequence: log.position().sequence,
      lastTimestampMs: log.position().timestampMs,
      durableSequence,
      commits: Atomics.load(commits, 0),
      ...catalog.takeChanges(),
      fault,
    }),
  };
}

function faultOf(code: string): string {
  return `writing stopped after the store failed with ${code}; check the disk, then restart the server`;
}

function collectionNotFound(collection: string): DomainError {
  return new DomainError('COLLECTION_NOT_FOUND', `collection '${collection}' does not exist`, {
    metadata: { collection },
  });
}

function indexExists({ collection, name }: { collection: string; name: string }): DomainError {
  return new DomainError(
    'INDEX_EXISTS',
    `collection '${collection}' has an index '${name}' already; drop it first or choose another name`,
    { metadata: { collection, index: name } },
  );
}

function indexNotFound({ collection, name }: { collection: string; name: string }): DomainError {
  return new DomainError('INDEX_NOT_FOUND', `collection '${collection}' has no index '${name}'`, {
    metadata: { collection, index: name },
  });
}
