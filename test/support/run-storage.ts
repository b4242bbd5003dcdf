import { createHash } from 'node:crypto';

import type { ServerConfig } from '../../src/config/server-config.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openCopyWriter } from '../../src/storage/embedded/copy-writer.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';

const CONNECTIONS = 4;

/**
 * Where the project of this run has its stores: in the project `postgres` in the database of the run, in a
 * schema for each place; undefined in all others, which have them in a directory.
 */
export function runStorage(place: string): ServerConfig['storage'] {
  const { MOLTEN_TEST_STORAGE: kind, MOLTEN_TEST_DATABASE: database } = process.env;
  if (kind === undefined) return undefined;
  if (kind !== 'postgres' || database === undefined) {
    throw new Error(`MOLTEN_TEST_STORAGE is '${kind}'; run the project postgres`);
  }
  const { url, password } = JSON.parse(database) as {
    readonly url: string;
    readonly password: string;
  };
  const address = new URL(url);
  const digest = createHash('sha256').update(place).digest('hex').slice(0, 16);
  address.searchParams.set('schema', `store_${digest}`);
  return { url: address.href, password, connections: CONNECTIONS };
}

/** Opens the store that a server of this run has left in a place, or an empty one. */
export async function openRunStore(directory: string): Promise<StorageEngine> {
  const storage = runStorage(directory);
  if (storage === undefined) return await openEmbeddedStore({ directory, clock: systemClock });
  const copies = await openCopyWriter({ directory, password: undefined });
  return await openPostgresStore({ ...storage, clock: systemClock, copies });
}
