import type { ServerConfig } from '../config/server-config.ts';
import type { Clock } from '../platform/clock.ts';
import type { EngineObserver, StorageEngine } from '../storage/engine.ts';

/** Opens the store of a configuration; what the other engine needs is not loaded. */
export async function openStore(
  config: ServerConfig,
  parts: { readonly clock: Clock; readonly observer: EngineObserver; readonly waitMaxMs: number },
): Promise<StorageEngine> {
  const { dbPath: directory, storage, encryptionKey: password } = config;
  if (storage !== undefined) {
    const { openPostgresStore } = await import('../storage/postgres/open.ts');
    const { openCopyWriter } = await import('../storage/embedded/copy-writer.ts');
    const copies = await openCopyWriter({ directory, password });
    return await openPostgresStore({ ...storage, ...parts, copies });
  }
  const { openEmbeddedStore } = await import('../storage/embedded/open.ts');
  const { cacheBytes, cacheDocuments } = config;
  return await openEmbeddedStore({ directory, password, cacheBytes, cacheDocuments, ...parts });
}
