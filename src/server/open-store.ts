import { mkdir } from 'node:fs/promises';

import type { ServerConfig } from '../config/server-config.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disposer } from '../platform/disposal.ts';
import type { StorageEngine } from '../storage/engine.ts';
import type { EngineObserver } from '../storage/observer.ts';

/** What a store is opened with. */
interface StoreParts {
  readonly clock: Clock;
  readonly observer: EngineObserver;
  readonly waitMaxMs: number;
}

/**
 * Opens the store of a configuration; what the other engine needs is not loaded. Whichever it is, the server
 * is the only one in the directory until `rooms` close: a node keeps its keyring and its snapshots there.
 */
export async function openStore(
  config: ServerConfig,
  parts: StoreParts,
  rooms: Disposer,
): Promise<StorageEngine> {
  const { dbPath: directory, storage, encryptionKey: password } = config;
  if (storage !== undefined) {
    const { openPostgresStore } = await import('../storage/postgres/open.ts');
    const { openCopyWriter } = await import('../storage/embedded/copy-writer.ts');
    const { lockStore } = await import('../storage/embedded/lock.ts');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    rooms.defer('the lock of the directory', lockStore(directory));
    const copies = await openCopyWriter({ directory, password });
    return await openPostgresStore({ ...storage, ...parts, copies });
  }
  const { openEmbeddedStore } = await import('../storage/embedded/open.ts');
  const { cacheBytes, cacheDocuments } = config;
  return await openEmbeddedStore({ directory, password, cacheBytes, cacheDocuments, ...parts });
}
