import type { DocumentReader, EngineFigures } from '../engine.ts';
import { createStatements, openConnection, type Connection } from './database.ts';
import type { DocumentCache } from './document-cache.ts';
import type { StoreAccess } from './protocol.ts';
import { createReader, type Reader } from './reader.ts';
import { createReaderPool, type PoolBounds, type ReaderPool } from './reader-pool.ts';
import type { StoreState } from './store-state.ts';
import { createTransactor, type Transactor } from './transactor.ts';
import type { WriterThread } from './writer-thread.ts';

/** What reads, all with one data key. */
export interface Reading {
  readonly access: StoreAccess;
  readonly connection: Connection;
  readonly reader: Reader;
  readonly transactor: Transactor;
  readonly pool: ReaderPool;
  /** Reads the log, so that nobody who follows it waits for queries. */
  readonly logPool: ReaderPool;
}

/** What it is opened with. */
export interface ReadingParts {
  readonly writer: WriterThread;
  readonly state: StoreState;
  /** For queries. */
  readonly readers: PoolBounds;
  /** The reads of transactions. */
  readonly own: DocumentReader;
}

/** Opens everything that reads. Threads start when they are needed. */
export function openReading(
  access: StoreAccess,
  { writer, state, readers, own }: ReadingParts,
): Reading {
  const connection = openConnection({ ...access, access: 'read' });
  const sql = createStatements(connection);
  return {
    ...{ access, connection, reader: createReader(connection) },
    transactor: createTransactor({ reader: own, writer, state, sql }),
    pool: createReaderPool(access, readers),
    // Whoever follows the log is in nobody's way.
    logPool: createReaderPool(access, { threads: 1, waitMaxMs: 0 }),
  };
}

/** What was read and written, and what is under way. */
export function figuresOf(
  { pool, logPool }: Reading,
  { writer, cache }: { readonly writer: WriterThread; readonly cache: DocumentCache },
): EngineFigures {
  return {
    ...{ commits: writer.commits, cacheHits: cache.hits, cacheMisses: cache.misses },
    readers: [
      { pool: 'queries', ...pool.load() },
      { pool: 'log', ...logPool.load() },
    ],
  };
}

/** Closes it again. */
export async function closeReading({ pool, logPool, connection }: Reading): Promise<void> {
  await pool.close();
  await logPool.close();
  connection.close();
}
