import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import type { Connection } from './database.ts';

/** The format this release reads and writes. A change needs a migration and a fixture. */
export const STORE_FORMAT = 1;

/** The secondary indexes; made anew where they are rebuilt from nothing. */
export const ENTRY_TABLE = `CREATE TABLE entry (
    idx INTEGER NOT NULL,
    value BLOB NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (idx, value, key)
  ) WITHOUT ROWID;`;

/**
 * The log is the store: `ver` holds every body once, `head` finds the current one.
 *
 * - `collection`: one row per incarnation; `settings_seq` is the entry that gave it its settings. Dropping
 *   or clearing retires the row (`retired` is the sequence that did it) instead of touching its documents;
 *   a clear makes a new row with the old uid.
 * - `head`: one row per key ever written, deletes included (`live` 0), so that reads of the past find
 *   the chain of `previous` sequences. `created_seq` and `expires_at` repeat what `ver` says, for the two
 *   partial indexes: insertion order and expiry.
 * - `entry`: hand-kept secondary indexes, one row per document and index.
 * - `request`: answers remembered for retries with the same request id.
 */
const TABLES = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    revision INTEGER NOT NULL,
    documents_max INTEGER,
    rules TEXT NOT NULL,
    documents INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_put_at INTEGER NOT NULL,
    born INTEGER NOT NULL,
    retired INTEGER,
    settings_seq INTEGER NOT NULL DEFAULT 0
  );
  CREATE UNIQUE INDEX collection_live ON collection (name) WHERE retired IS NULL;
  CREATE INDEX collection_history ON collection (name, born);
  CREATE TABLE ver (
    seq INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    first INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    created_seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    cause INTEGER NOT NULL,
    body TEXT
  );
  CREATE TABLE head (
    collection INTEGER NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    live INTEGER NOT NULL,
    created_seq INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (collection, key)
  ) WITHOUT ROWID;
  CREATE INDEX head_created ON head (collection, created_seq) WHERE live = 1;
  CREATE INDEX head_expiry ON head (collection, expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE idx (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    is_unique INTEGER NOT NULL,
    state TEXT NOT NULL,
    documents_done INTEGER NOT NULL,
    built_to TEXT,
    failure TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (collection, name)
  );
  ${ENTRY_TABLE}
  CREATE TABLE retired_idx (id INTEGER PRIMARY KEY);
  CREATE TABLE request (
    principal TEXT NOT NULL,
    id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    at INTEGER NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (principal, id)
  ) WITHOUT ROWID;
  CREATE INDEX request_age ON request (at);
`;

/**
 * Creates the tables of a new file, or checks that an existing one has a format this release knows.
 * Returns the epoch, which names this timeline of the log.
 */
export function prepareSchema(database: Connection): string {
  database.pragma('journal_mode = WAL');
  const tables = database
    .prepare(`SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'`)
    .pluck()
    .get();
  if (tables === 0) createSchema(database);
  assertKnownFormat(database);
  addColumn(database, { table: 'collection', column: 'settings_seq INTEGER NOT NULL DEFAULT 0' });
  return String(readMeta(database, 'epoch'));
}

/** ENGINE_UNAVAILABLE for a file of another format than this release reads. */
export function assertKnownFormat(database: Connection): void {
  const format = readMeta(database, 'format');
  if (format !== STORE_FORMAT) {
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `the store has format ${String(format)}, this release reads ${STORE_FORMAT.toString()}; use the release that wrote it`,
      { metadata: { format: String(format), supported: STORE_FORMAT.toString() } },
    );
  }
}

/** Files from before a column had it not; what they lack is its default. */
function addColumn(database: Connection, added: { table: string; column: string }): void {
  const { table, column } = added;
  const columns = database.pragma(`table_info(${table})`) as { readonly name: string }[];
  if (columns.some(({ name }) => column.startsWith(`${name} `))) return;
  database.exec(`ALTER TABLE ${table} ADD COLUMN ${column}`);
}

function createSchema(database: Connection): void {
  database.transaction(() => {
    database.exec(TABLES);
    const insert = database.prepare('INSERT INTO meta (name, value) VALUES (?, ?)');
    insert.run('format', STORE_FORMAT);
    insert.run('epoch', randomUUID());
    insert.run('flushed', 0);
  })();
}

function readMeta(database: Connection, name: string): unknown {
  try {
    return database.prepare('SELECT value FROM meta WHERE name = ?').pluck().get(name);
  } catch {
    // A database without our tables has no format.
    return undefined;
  }
}
