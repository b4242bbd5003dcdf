import { join } from 'node:path';

import { hasReason } from '../../errors/domain-error.ts';
import { openConnection } from './database.ts';
import { openKeyring, writeKeyring, type StoreKeys } from './keyring.ts';
import { STORE_FILE } from './store-file.ts';

const PROBE_CACHE_BYTES = 64 * 1024;

/**
 * The keys that a directory opens with. When the data key was being changed, that is the old one or the
 * new one, never anything in between: which, the file itself tells.
 */
export async function openKeys(directory: string, password: string): Promise<StoreKeys> {
  const keys = await openKeyring(directory, password);
  if (keys.nextKey === undefined) return keys;
  const dataKey = opensWith(directory, keys.dataKey) ? keys.dataKey : keys.nextKey;
  return { dataKey, rootKey: keys.rootKey };
}

/** The same, written down so that the other key is forgotten. The directory must be locked. */
export async function settleKeys(directory: string, password: string): Promise<StoreKeys> {
  const { nextKey } = await openKeyring(directory, password);
  const keys = await openKeys(directory, password);
  if (nextKey !== undefined) await writeKeyring(directory, password, keys);
  return keys;
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
