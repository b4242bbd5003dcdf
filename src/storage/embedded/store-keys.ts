import { join } from 'node:path';

import { DomainError, hasReason } from '../../errors/domain-error.ts';
import { openConnection } from './database.ts';
import { openKeyring, randomKey, writeKeyring, type StoreKeys } from './keyring.ts';
import { STORE_FILE } from './store-file.ts';

const PROBE_CACHE_BYTES = 64 * 1024;

/** Keys while the data key is being changed. */
export interface PendingKeys extends StoreKeys {
  readonly nextKey: string;
}

/**
 * The keys that a directory opens with. When the data key was being changed, that is the old one or the
 * new one, never anything in between: which, the file itself tells. ENGINE_UNAVAILABLE when it is neither.
 */
export async function openKeys(directory: string, password: string): Promise<StoreKeys> {
  return settled(directory, await openKeyring(directory, password));
}

/** The same, written down so that the other key is forgotten. The directory must be locked. */
export async function settleKeys(directory: string, password: string): Promise<StoreKeys> {
  const found = await openKeyring(directory, password);
  const keys = settled(directory, found);
  if (keys !== found) await writeKeyring(directory, password, keys);
  return keys;
}

function settled(directory: string, keys: StoreKeys): StoreKeys {
  const { nextKey, rootKey } = keys;
  if (nextKey === undefined) return keys;
  return { dataKey: dataKeyOf(directory, { ...keys, nextKey }), rootKey };
}

/**
 * Writes down a next data key before a page is written with it, so that after a crash the file tells which
 * of the two it has. ENGINE_UNAVAILABLE while an earlier change is not settled: the key that the file has
 * may be its next one, which would be forgotten.
 */
export async function beginRotation(directory: string, password: string): Promise<PendingKeys> {
  const keys = await openKeyring(directory, password);
  if (keys.nextKey !== undefined) throw unsettled(directory);
  const pending = { ...keys, nextKey: randomKey() };
  await writeKeyring(directory, password, pending);
  return pending;
}

/** Which of two data keys the file has. ENGINE_UNAVAILABLE when it is neither. */
export function dataKeyOf(directory: string, { dataKey, nextKey }: PendingKeys): string {
  const found = [dataKey, nextKey].find((key) => opensWith(directory, key));
  if (found === undefined) throw lost(directory);
  return found;
}

function opensWith(directory: string, dataKey: string): boolean {
  const file = join(directory, STORE_FILE);
  try {
    openConnection({ file, dataKey, access: 'read', cacheBytes: PROBE_CACHE_BYTES }).close();
    return true;
  } catch (error) {
    if (hasReason(error, 'ENGINE_UNAVAILABLE')) return false;
    throw error;
  }
}

function unsettled(directory: string): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `the keyring in '${directory}' holds the next key of a change that did not end; restart the server, which settles it, then change the key`,
    { metadata: { directory } },
  );
}

function lost(directory: string): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `neither the data key of the keyring nor its next one opens the store in '${directory}'; restore the keyring that belongs to it`,
    { metadata: { directory } },
  );
}
