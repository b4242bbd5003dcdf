import { findAnswer } from '../commit/committer.ts';
import { createTransactor, type Transactor } from '../commit/transactor.ts';
import type { DocumentReader, EngineFigures } from '../engine.ts';
import { failureOf } from './damage.ts';
import { createStatements, openConnection, type Connection } from './database.ts';
import { createPointReads, type PointReads, type PointReadsParts } from './point-reads.ts';
import type { StoreAccess } from './protocol.ts';
import { createReader, type Reader } from './reader.ts';
import { createReaderPool, type PoolBounds, type ReaderPool } from './reader-pool.ts';
import { createAnswers } from './sql-store.ts';
import type { WriterThread } from './writer-thread.ts';

/** What reads, all with one data key. */
export interface Reading {
  readonly access: StoreAccess;
  readonly connection: Connection;
  readonly reader: Reader;
  readonly points: PointReads;
  readonly transactor: Transactor;
  readonly pool: ReaderPool;
  /** Reads the log, so that nobody who follows it waits for queries. */
  readonly logPool: ReaderPool;
}

/** What it is opened with. */
export interface ReadingParts extends PointReadsParts {
  readonly writer: WriterThread;
  /** For queries. */
  readonly readers: PoolBounds;
  /** The reads of transactions. */
  readonly own: DocumentReader;
}

/** Opens everything that reads. Threads start when they are needed. */
export function openReading(access: StoreAccess, parts: ReadingParts): Reading {
  const connection = openConnection({ ...access, access: 'read' });
  const answers = createAnswers(createStatements(connection));
  const reader = createReader(connection);
  const { writer, state, readers, own } = parts;
  return {
    ...{ access, connection, reader, points: guarded(createPointReads(reader, parts), parts) },
    transactor: createTransactor({
      reader: own,
      commit: (request, signal) => writer.commit(request, signal),
      remembered: (identity) => findAnswer(answers, identity),
      position: () => ({ sequence: state.lastSequence, timestampMs: state.lastTimestampMs }),
    }),
    pool: createReaderPool(access, readers),
    // Whoever follows the log is in nobody's way.
    logPool: createReaderPool(access, { threads: 1, atOnce: 1, waitMaxMs: 0 }),
  };
}

/** What was read and written, and what is under way. */
export function figuresOf(
  { pool, logPool }: Reading,
  { writer, cache }: Pick<ReadingParts, 'writer' | 'cache'>,
): EngineFigures {
  return {
    ...{ commits: writer.commits, cacheHits: cache.hits, cacheMisses: cache.misses },
    ...{ cachedDocuments: cache.documents, cachedBytes: cache.bytes },
    cachedBytesMax: cache.bytesMax,
    readers: [
      { pool: 'queries', ...pool.load() },
      { pool: 'log', ...logPool.load() },
    ],
  };
}

/** Reads on the main thread fail as those of the threads do. */
function guarded(points: PointReads, parts: ReadingParts): PointReads {
  return (collection, keys) => {
    try {
      return points(collection, keys);
    } catch (error) {
      throw failureOf(error, parts);
    }
  };
}

/** Closes it again. */
export async function closeReading({ pool, logPool, connection }: Reading): Promise<void> {
  await pool.close();
  await logPool.close();
  connection.close();
}
