import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import { syncDirectory } from '../../platform/files.ts';
import { toSequence } from '../types.ts';
import type { CopyInProgress, CopyWriter } from '../transfer/copies.ts';
import { startBuilder } from './builder.ts';
import { copyKeyring, listFiles } from './copy.ts';
import { createKeyring, deriveKey, hasKeyring, type StoreKeys } from './keyring.ts';
import { STORE_FILE } from './store-file.ts';
import { openKeys } from './store-keys.ts';

const PAGE_CACHE_BYTES = 32 * 1024 * 1024;

/**
 * Writes copies of a store that is kept elsewhere in the form of this engine. Those of a server with a
 * password are encrypted by the keyring in its directory, which is made when there is none.
 *
 * ENGINE_UNAVAILABLE when the password is wrong, missing where there is a keyring, or given where there is a
 * store that is not encrypted.
 */
export async function openCopyWriter(place: {
  readonly directory: string;
  readonly password: string | undefined;
}): Promise<CopyWriter> {
  const { directory, password } = place;
  const keys = await keysOf(directory, password);
  return {
    begin: (target) => begin(target, { directory, keys }),
    derivedKey: (purpose) => deriveKey(keys?.rootKey, purpose),
  };
}

async function keysOf(
  directory: string,
  password: string | undefined,
): Promise<StoreKeys | undefined> {
  if (hasKeyring(directory)) {
    if (password !== undefined) return await openKeys(directory, password);
    throw refusal(
      directory,
      'has a keyring, by which copies are encrypted; give its encryption key',
    );
  }
  if (password === undefined) return undefined;
  if (existsSync(join(directory, STORE_FILE))) {
    throw refusal(
      directory,
      'holds a store without a keyring, which a new one would lock; give no encryption key',
    );
  }
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return await createKeyring(directory, password);
}

function refusal(directory: string, problem: string): DomainError {
  return new DomainError('ENGINE_UNAVAILABLE', `'${directory}' ${problem}, or another --db-path`, {
    metadata: { directory },
  });
}

async function begin(
  directory: string,
  from: { readonly directory: string; readonly keys: StoreKeys | undefined },
): Promise<CopyInProgress> {
  await mkdir(directory, { mode: 0o700 });
  let isFinished = false;
  if (from.keys !== undefined) await copyKeyring(from.directory, directory);
  const file = join(directory, STORE_FILE);
  const access = { file, dataKey: from.keys?.dataKey, cacheBytes: PAGE_CACHE_BYTES };
  const builder = startBuilder(access);
  return {
    insert: (table, rows) => builder.insert(table, rows),
    async finish(end, signal) {
      const content = await builder.finishChecked(end, signal);
      const files = await listFiles(directory, signal);
      await syncDirectory(directory);
      isFinished = true;
      return { ...content, sequence: toSequence(content.sequence), files };
    },
    async [Symbol.asyncDispose]() {
      await builder[Symbol.asyncDispose]();
      if (!isFinished) await rm(directory, { recursive: true, force: true });
    },
  };
}
