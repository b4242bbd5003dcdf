import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { hasReason } from '../../../errors/domain-error.ts';
import type { MigrationSource, MigrationTarget } from '../../transfer/migrate.ts';
import { startBuilder } from '../builder.ts';
import { createKeyring } from '../keyring.ts';
import { lockStore, type ReleaseLock } from '../lock.ts';
import { STORE_FILE } from '../store-file.ts';
import { buildDirectory, demandStore, keysOf, withFile } from './directory.ts';
import { inState } from './state-reader.ts';

/** A directory and its encryption key. */
export interface DirectoryPlace {
  readonly directory: string;
  readonly password: string | undefined;
}

/** The store or the snapshot in a directory, to be moved; it is only read. */
export async function openDirectorySource({
  directory,
  password,
}: DirectoryPlace): Promise<MigrationSource> {
  demandStore(directory);
  const dataKey = (await keysOf(directory, password))?.dataKey;
  // Nobody writes to a snapshot.
  const isStill = existsSync(join(directory, 'manifest.json'));
  let release: ReleaseLock | undefined;
  return {
    read: (work) =>
      withFile({ directory, dataKey, access: 'read' }, (database) => inState(database, work)),
    hold() {
      try {
        if (!isStill) release ??= lockStore(directory);
        return Promise.resolve(undefined);
      } catch (error) {
        if (!hasReason(error, 'ENGINE_UNAVAILABLE')) throw error;
        return Promise.resolve(`a server has '${directory}' open`);
      }
    },
    [Symbol.asyncDispose]() {
      release?.();
      return Promise.resolve();
    },
  };
}

const PAGE_CACHE_BYTES = 64 * 1024 * 1024;
/** Moves a store into a new directory, which gets its name when the work is done. */
export async function buildMigrated<T>(
  { directory: out, password }: DirectoryPlace,
  work: (target: MigrationTarget) => Promise<T>,
): Promise<T> {
  return await buildDirectory(out, async (directory) => {
    const dataKey =
      password === undefined ? undefined : (await createKeyring(directory, password)).dataKey;
    const file = join(directory, STORE_FILE);
    await using builder = startBuilder({ file, dataKey, cacheBytes: PAGE_CACHE_BYTES });
    let isFinished = false;
    return await work({
      insert: (table, rows) => builder.insert(table, rows),
      tidy: () => builder.tidy(),
      // Its name is taken when it is done.
      assertMine: () => Promise.resolve(),
      async finish(end) {
        await builder.finish(end);
        isFinished = true;
      },
      async read(look) {
        if (!isFinished) await builder.flush();
        const built = { directory, dataKey, access: 'read' } as const;
        return await withFile(built, (database) => inState(database, look));
      },
      // By its name.
      release: () => Promise.resolve(),
    });
  });
}
