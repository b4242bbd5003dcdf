import { existsSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../engine.ts';
import type { EngineObserver } from '../observer.ts';
import { createStatements, openConnection, type Connection } from './database.ts';
import { translated } from './damage.ts';
import { createDocumentCache } from './document-cache.ts';
import { createEngine } from './engine.ts';
import { readFloor, readHistoryBytes } from './floor.ts';
import { createKeyring, hasKeyring, type StoreKeys } from './keyring.ts';
import { lockStore } from './lock.ts';
import { readEnd } from './log-writer.ts';
import type { StoreAccess } from './protocol.ts';
import type { CollectionRow, IndexRow } from '../commit/rows.ts';
import { prepareSchema } from './schema.ts';
import { STORE_FILE } from './store-file.ts';
import { settleKeys } from './store-keys.ts';
import { createStoreState, type StoreState } from './store-state.ts';
import { startWriterThread } from './writer-thread.ts';

/** How a store is opened. */
export interface EmbeddedStoreOptions {
  /** Made with mode 0700 when missing. */
  readonly directory: string;
  readonly clock: Clock;
  /** The encryption key, any text of at least 1 character. Absent: a cleartext store. */
  readonly password?: string | undefined;
  /** How long an asynchronous commit may stay off the disk, in milliseconds. Default 50. */
  readonly flushIntervalMs?: number;
  /** Memory for documents read by key, in bytes. Default 64 MiB; 0 caches nothing. */
  readonly cacheBytes?: number;
  /** How many of them at most. Default: as many as fit. */
  readonly cacheDocuments?: number | undefined;
  /** Reader threads. Default 2, at least 1; while none is held up, no more of them work than there are cores. */
  readonly readers?: number;
  /**
   * No more reads, or writes, are taken while one has waited this long for its turn, in milliseconds.
   * Default 0: no bound.
   */
  readonly waitMaxMs?: number;
  readonly observer?: EngineObserver;
}

const MEBIBYTE = 1024 * 1024;
const CACHE_BYTES = 64 * MEBIBYTE;
const PAGE_CACHE_BYTES = 32 * MEBIBYTE;
const FLUSH_INTERVAL_MS = 50;
const READERS = 2;

/**
 * Opens the store in a directory, making an empty one when there is none.
 *
 * ENGINE_UNAVAILABLE when another process has it open, when the password is wrong or missing, when a
 * password is given for a cleartext store, or when the format is unknown; nothing is created or changed
 * then. CORRUPTION_DETECTED when the file or the keyring is damaged.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<StorageEngine> {
  const { directory, clock, waitMaxMs = 0 } = options;
  const file = join(directory, STORE_FILE);
  refuseMismatch({ directory, file, isEncrypted: options.password !== undefined });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const release = lockStore(directory);
  try {
    // Once more under the lock: another process may have made the store meanwhile.
    refuseMismatch({ directory, file, isEncrypted: options.password !== undefined });
    const keys = await keysOf(directory, options.password);
    const access: StoreAccess = { file, dataKey: keys?.dataKey, cacheBytes: PAGE_CACHE_BYTES };
    const epoch = await prepareFile(access);
    const state = readState(access);
    const commits = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const cache = createDocumentCache({
      bytesMax: options.cacheBytes ?? CACHE_BYTES,
      documentsMax: options.cacheDocuments,
    });
    const flushIntervalMs = options.flushIntervalMs ?? FLUSH_INTERVAL_MS;
    const writer = startWriterThread({
      settings: { ...access, commits, flushIntervalMs },
      ...{ clock, waitMaxMs, observer: options.observer },
      onState: (next) => {
        state.apply(next);
        if (next.written === 'all') cache.clear();
        else for (const { collection, key } of next.written) cache.delete(collection, key);
      },
      onFailure: () => {
        state.fail('the writer thread has stopped; restart the server');
      },
    });
    return createEngine({
      ...{ access, epoch, clock, writer, cache, state, release },
      readers: {
        ...{ threads: options.readers ?? READERS, waitMaxMs },
        atOnce: availableParallelism(),
      },
      commits: new Int32Array(commits),
      encryption: keys && { directory, password: options.password ?? '', rootKey: keys.rootKey },
    });
  } catch (error) {
    release();
    throw translated(error);
  }
}

/** Fails before anything is created when the password and the store do not belong together. */
function refuseMismatch(found: { directory: string; file: string; isEncrypted: boolean }): void {
  const { directory, file, isEncrypted } = found;
  if (hasKeyring(directory) && !isEncrypted) {
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `the store in '${directory}' is encrypted; give its encryption key`,
      { metadata: { directory } },
    );
  }
  if (isEncrypted && !hasKeyring(directory) && existsSync(file)) {
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `the store in '${directory}' has no keyring: it is not encrypted, or the keyring was lost; open it without an encryption key, or restore 'keyring.json'`,
      { metadata: { directory } },
    );
  }
}

async function keysOf(
  directory: string,
  password: string | undefined,
): Promise<StoreKeys | undefined> {
  if (password === undefined) return undefined;
  return hasKeyring(directory)
    ? await settleKeys(directory, password)
    : await createKeyring(directory, password);
}

async function prepareFile(access: StoreAccess): Promise<string> {
  const connection = openConnection({ ...access, access: 'write' });
  try {
    const epoch = prepareSchema(connection);
    await chmod(access.file, 0o600);
    return epoch;
  } finally {
    connection.close();
  }
}

function readState(access: StoreAccess): StoreState {
  const connection = openConnection({ ...access, access: 'read' });
  try {
    return readStateOf(connection);
  } finally {
    connection.close();
  }
}

function readStateOf(connection: Connection): StoreState {
  const sql = createStatements(connection);
  const { sequence, timestampMs } = readEnd(sql);
  return createStoreState({
    collections: sql('SELECT * FROM collection WHERE retired IS NULL').all() as CollectionRow[],
    indexes: sql('SELECT * FROM idx').all() as IndexRow[],
    lastSequence: sequence,
    lastTimestampMs: timestampMs,
    floor: readFloor(sql).sequence,
    historyBytes: readHistoryBytes(sql),
  });
}
