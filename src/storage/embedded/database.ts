import { statSync } from 'node:fs';

import Database from 'better-sqlite3-multiple-ciphers';

import { DomainError } from '../../errors/domain-error.ts';
import { cipherInHeader, newCipher, useKey } from './page-cipher.ts';
import type { EncryptedFile, PageCipher } from './page-cipher.ts';

/** One connection to the file of a store. Not shared between threads. */
export type Connection = Database.Database;

/** A compiled statement. */
export type Statement = Database.Statement;

/** Finds the compiled statement of a text. */
export type Sql = (text: string) => Statement;

/** How a connection is opened. */
export interface ConnectionOptions {
  readonly file: string;
  /** 64 hex digits: the data key. Absent: cleartext. */
  readonly dataKey: string | undefined;
  readonly access: 'read' | 'write';
  /** Page cache in bytes. */
  readonly cacheBytes: number;
}

const BUSY_TIMEOUT_MS = 5000;
const KIBIBYTE = 1024;
const PROBE_CACHE_BYTES = 64 * KIBIBYTE;

/**
 * Opens the file and proves that the key fits by reading the schema, before anything is written.
 *
 * ENGINE_UNAVAILABLE when the key does not fit; CORRUPTION_DETECTED when the file is no database. The
 * connection is closed again in both cases, because going on after a refused key would write cleartext.
 */
export function openConnection(options: ConnectionOptions): Connection {
  const { file, dataKey } = options;
  try {
    if (dataKey === undefined) return open(options);
    return open(options, { file, dataKey, cipher: cipherOf(file, dataKey) });
  } catch (cause) {
    throw unreadable(options, cause);
  }
}

/**
 * What encrypts a file that has a key; one that is empty or missing: what encrypts new files. It is tried by a connection that only reads, so
 * that nothing is done by one that does not fit. The file tells it in its header, but a process that closes a file that SQLite has open
 * gives up its locks on it (POSIX.1, `fcntl`). Throws what SQLite throws when the file cannot be read for another reason.
 */
export function cipherOf(file: string, dataKey: string): PageCipher {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return newCipher();
  const options = { file, dataKey, access: 'read', cacheBytes: PROBE_CACHE_BYTES } as const;
  try {
    open(options, { file, dataKey, cipher: 'aegis' }).close();
    return 'aegis';
  } catch (error) {
    const code = sqliteCode(error);
    if (code === 'SQLITE_NOTADB') return 'chacha20';
    // A crash has left a half-done transaction that only one who writes may roll back: nobody has the file open.
    if (code === 'SQLITE_READONLY_ROLLBACK') return cipherInHeader(file);
    throw error;
  }
}

function open(
  { file, access, cacheBytes }: ConnectionOptions,
  encrypted?: EncryptedFile,
): Connection {
  const database = new Database(file, { readonly: access === 'read', timeout: BUSY_TIMEOUT_MS });
  try {
    if (encrypted !== undefined) useKey(database, encrypted);
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    // Temporary files would not be encrypted.
    database.pragma('temp_store = MEMORY');
    database.pragma('mmap_size = 0');
    database.pragma(`cache_size = -${Math.ceil(cacheBytes / KIBIBYTE).toString()}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function unreadable({ file, dataKey }: ConnectionOptions, cause: unknown): unknown {
  if (sqliteCode(cause) !== 'SQLITE_NOTADB') return cause;
  return dataKey === undefined
    ? new DomainError(
        'CORRUPTION_DETECTED',
        `'${file}' is not a readable store; if it is encrypted, give its encryption key`,
        { metadata: { file }, cause },
      )
    : new DomainError(
        'ENGINE_UNAVAILABLE',
        `the data key of the keyring does not open '${file}'; restore the keyring that belongs to it`,
        { metadata: { file }, cause },
      );
}

/** The SQLite result code of an error, such as `SQLITE_FULL`; undefined for other errors. */
export function sqliteCode(error: unknown): string | undefined {
  const isSqlite = error instanceof Error && 'code' in error && typeof error.code === 'string';
  return isSqlite ? String(error.code) : undefined;
}

/** Compiles statements once per connection, by their text. */
export function createStatements(database: Connection): Sql {
  const compiled = new Map<string, Statement>();
  return (sql) => {
    let statement = compiled.get(sql);
    if (statement === undefined) {
      statement = database.prepare(sql);
      compiled.set(sql, statement);
    }
    return statement;
  };
}
