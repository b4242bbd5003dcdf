import Database from 'better-sqlite3-multiple-ciphers';
import { join } from 'node:path';

import { DomainError } from '../../errors/domain-error.ts';
import { sqliteCode } from './database.ts';

/** Lets another process open the directory. */
export type ReleaseLock = () => void;

/**
 * Makes this process the only one that has a directory open as that of its store. The lock is that of an
 * exclusive SQLite transaction on an otherwise empty file: the kernel drops it when the process dies,
 * however it dies.
 *
 * ENGINE_UNAVAILABLE when another process holds it.
 */
export function lockStore(directory: string): ReleaseLock {
  const database = new Database(join(directory, 'LOCK'), { timeout: 0 });
  try {
    database.pragma('journal_mode = MEMORY');
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    if (sqliteCode(cause) !== 'SQLITE_BUSY') throw cause;
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `'${directory}' is open in another process; stop that one or use another directory`,
      { metadata: { directory }, cause },
    );
  }
  return () => {
    database.close();
  };
}
