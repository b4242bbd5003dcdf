import Database from 'better-sqlite3-multiple-ciphers';

import { DomainError } from '../../errors/domain-error.ts';

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

/**
 * Opens the file and proves that the key fits by reading the schema, before anything is written.
 *
 * ENGINE_UNAVAILABLE when the key does not fit; CORRUPTION_DETECTED when the file is no database. The
 * connection is closed again in both cases, because going on after a refused key would write cleartext.
 */
export function openConnection(options: ConnectionOptions): Connection {
  const { file, dataKey, access, cacheBytes } = options;
  const database = new Database(file, { readonly: access === 'read', timeout: BUSY_TIMEOUT_MS });
  try {
    if (dataKey !== undefined) {
      database.pragma(`cipher = 'chacha20'`);
      database.pragma(`key = 'raw:${dataKey}'`);
    }
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    // Temporary files would not be encrypted.
    database.pragma('temp_store = MEMORY');
    database.pragma('mmap_size = 0');
    database.pragma(`cache_size = -${Math.ceil(cacheBytes / KIBIBYTE).toString()}`);
    return database;
  } catch (cause) {
    database.close();
    throw unreadable(options, cause);
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
