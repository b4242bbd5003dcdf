import { join } from 'node:path';

import { createStatements } from '../database.ts';
import { randomKey, writeKeyring } from '../keyring.ts';
import { readEnd } from '../log-writer.ts';
import { changeKey, encrypt } from '../page-cipher.ts';
import { STORE_FILE } from '../store-file.ts';
import type { CheckedStore } from './check.ts';
import { buildDirectory, checkBuilt, demandStore, keysOf, withFile } from './directory.ts';
import { beginTimeline } from './timeline.ts';

/**
 * Writes a store again under a new data key, into a new directory, and reads all of it. Snapshots and
 * archives from before keep their old key; the new store starts a timeline of its own.
 */
export async function rotateDataKey(request: {
  readonly source: string;
  readonly out: string;
  readonly password: string;
}): Promise<CheckedStore> {
  const { source, out, password } = request;
  demandStore(source);
  const old = await keysOf(source, password);
  return await buildDirectory(out, async (directory) => {
    const dataKey = randomKey();
    // What archives are read with stays.
    await writeKeyring(directory, password, { dataKey, rootKey: old?.rootKey ?? dataKey });
    await withFile({ directory: source, dataKey: old?.dataKey, access: 'read' }, (database) =>
      // Also what is still in the write-ahead log beside the file.
      database.prepare('VACUUM INTO ?').run(join(directory, STORE_FILE)),
    );
    await rekey(directory, old?.dataKey, dataKey);
    return await checkBuilt(directory, dataKey);
  });
}

async function rekey(directory: string, oldKey: string | undefined, newKey: string): Promise<void> {
  await withFile({ directory, dataKey: oldKey, access: 'write' }, (database) => {
    database.pragma('journal_mode = DELETE');
    // With the cipher that it has: with another one SQLite would hold all of the file in memory.
    if (oldKey === undefined) encrypt(database, newKey);
    else changeKey(database, newKey);
  });
  await withFile({ directory, dataKey: newKey, access: 'write' }, (database) => {
    const sql = createStatements(database);
    sql('BEGIN IMMEDIATE').run();
    beginTimeline(sql, readEnd(sql).sequence);
    sql('COMMIT').run();
  });
}
