import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { delay } from '../../platform/timers.ts';
import type { Connection } from './connections.ts';
import { isTransient, sqlState } from './errors.ts';

/** The format this release writes, and reads along with all before it. A change adds a migration. */
export const FORMAT = 3;
/** The format of tables that are being filled: no release opens them. */
export const LOADING = 0;

/**
 * The log is the store, as in the embedded engine: `ver` holds every body once, `head` finds the newest
 * row of each key, deletes included (`live` 0), and `entry` holds hand-kept secondary indexes.
 *
 * - `clock`: one row. Whoever commits locks it first, so that sequences are dense and become visible in
 *   order. `durable_seq` is how far all is on stable storage, `ids` the last id of a collection or an
 *   index, `has_work` that something is left to be done in the background.
 * - `node`: one row per server, with the last group that it committed, which after a lost connection tells
 *   what became of it, and the sequence that its readers still need.
 * - `collection`: one row per incarnation, as in the embedded engine.
 *
 * - `lease`: one row per job that one node does at a time. `fence` grows whenever another node takes it.
 * - `budget`: one row per rate limit and whoever it counts, of what all nodes drew from it in a window and
 *   the one before. Unlogged: it is of the moment, and empty after a crash.
 *
 * Bodies are text and not jsonb, because jsonb reorders members, drops duplicates, changes numbers and
 * refuses U+0000. Text compares by bytes, which is the order of code points.
 */
const TABLES = `
  CREATE TABLE clock (
    id smallint PRIMARY KEY,
    seq bigint NOT NULL,
    ts bigint NOT NULL,
    durable_seq bigint NOT NULL,
    floor bigint NOT NULL,
    floor_at bigint NOT NULL,
    pruned_to bigint NOT NULL,
    history_bytes bigint NOT NULL,
    ids bigint NOT NULL,
    has_work boolean NOT NULL,
    epoch text NOT NULL
  ) WITH (fillfactor = 10);
  CREATE TABLE node (
    id text PRIMARY KEY,
    last_group bigint NOT NULL,
    seen_at bigint NOT NULL,
    pinned bigint
  ) WITH (fillfactor = 50);
  CREATE TABLE collection (
    id bigint PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    uid text NOT NULL,
    revision bigint NOT NULL,
    documents_max bigint,
    rules text NOT NULL,
    documents bigint NOT NULL,
    bytes bigint NOT NULL,
    created_at bigint NOT NULL,
    last_put_at bigint NOT NULL,
    born bigint NOT NULL,
    retired bigint,
    settings_seq bigint NOT NULL
  ) WITH (fillfactor = 50);
  CREATE UNIQUE INDEX collection_live ON collection (name) WHERE retired IS NULL;
  CREATE INDEX collection_history ON collection (name, born);
  CREATE TABLE ver (
    seq bigint PRIMARY KEY,
    ts bigint NOT NULL,
    first bigint NOT NULL,
    kind smallint NOT NULL,
    collection bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    previous bigint NOT NULL,
    created_seq bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    cause smallint NOT NULL,
    body text
  );
  CREATE TABLE head (
    collection bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    live smallint NOT NULL,
    created_seq bigint NOT NULL,
    expires_at bigint,
    PRIMARY KEY (collection, key)
  ) WITH (fillfactor = 80);
  CREATE INDEX head_created ON head (collection, created_seq) WHERE live = 1;
  CREATE INDEX head_expiry ON head (collection, expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE idx (
    id bigint PRIMARY KEY,
    collection bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    fields text NOT NULL,
    is_unique smallint NOT NULL,
    state text NOT NULL,
    documents_done bigint NOT NULL,
    built_to text COLLATE "C",
    failure text NOT NULL,
    created_at bigint NOT NULL,
    UNIQUE (collection, name)
  );
  CREATE TABLE entry (
    idx bigint NOT NULL,
    value bytea NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (idx, value, key)
  );
  CREATE TABLE retired_idx (id bigint PRIMARY KEY);
  CREATE TABLE request (
    principal text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    at bigint NOT NULL,
    answer text NOT NULL,
    PRIMARY KEY (principal, id)
  );
  CREATE INDEX request_age ON request (at);
  CREATE TABLE format (version integer NOT NULL);
`;

/** From each format to the next one, in order; the first leads from 1 to 2. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE lease (
    job text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    fence bigint NOT NULL,
    until bigint NOT NULL
  ) WITH (fillfactor = 50)`,
  `CREATE UNLOGGED TABLE budget (
    key text COLLATE "C" PRIMARY KEY,
    idx bigint NOT NULL,
    count bigint NOT NULL,
    before bigint NOT NULL,
    until bigint NOT NULL
  ) WITH (fillfactor = 50)`,
];

const ATTEMPTS_MAX = 20;
const RETRY_MS = 50;

/**
 * Creates the tables where there are none, and brings older ones to this format, in one transaction.
 * Nodes that start side by side wait for each other. ENGINE_UNAVAILABLE for tables of a newer release.
 */
export async function prepareSchema(connection: Connection, schema: string): Promise<void> {
  await inSchemaTurn(connection, () => migrate(connection, schema));
}

/** Does some work on the tables in one transaction, and again when others do the same. */
export async function inSchemaTurn(
  connection: Connection,
  work: () => Promise<void>,
): Promise<void> {
  await refuseOtherEncodings(connection);
  for (let attempt = 1; ; attempt++) {
    try {
      await connection.command('BEGIN');
      await work();
      await connection.command('COMMIT');
      return;
    } catch (error) {
      await connection.command('ROLLBACK');
      if (!isRace(error) || attempt >= ATTEMPTS_MAX) throw error;
      await delay(RETRY_MS);
    }
  }
}

/** Two nodes that create the same thing at once: one of them finds it there. */
function isRace(error: unknown): boolean {
  return isTransient(error) || ['23505', '42P06', '42P07', '42710'].includes(sqlState(error) ?? '');
}

async function refuseOtherEncodings(connection: Connection): Promise<void> {
  const [row] = await connection.rows<{ server_encoding: string }>('SHOW server_encoding');
  if (row?.server_encoding === 'UTF8') return;
  throw new DomainError(
    'ENGINE_UNAVAILABLE',
    `the database has the encoding ${String(row?.server_encoding)}; create one with UTF8`,
  );
}

async function migrate(connection: Connection, schema: string): Promise<void> {
  const version = await lockFormat(connection, schema);
  if (version === undefined) {
    await createTables(connection, schema, FORMAT);
    return;
  }
  if (version === LOADING) throw halfLoaded(schema);
  if (version > FORMAT || version < 1) throw unknownFormat(version);
  if (version === FORMAT) return;
  await migrateFrom(connection, version);
  await connection.command('UPDATE format SET version = $1', [FORMAT]);
}

/** The format of the tables, held until the transaction ends; undefined when there are none. */
export async function lockFormat(
  connection: Connection,
  schema: string,
): Promise<number | undefined> {
  const found = await connection.rows(
    `SELECT 1 FROM information_schema.tables WHERE table_schema = $1 AND table_name = 'format'`,
    [schema],
  );
  if (found.length === 0) return undefined;
  // Holds back other nodes until this one is done.
  const [row] = await connection.rows<{ version: number }>('SELECT version FROM format FOR UPDATE');
  return row?.version ?? -1;
}

/** Fails when the tables are not those of a whole store of this release. */
export async function assertComplete(connection: Connection, schema: string): Promise<void> {
  const version = await lockFormat(connection, schema);
  if (version === FORMAT) return;
  if (version === LOADING) throw halfLoaded(schema);
  if (version === undefined) {
    throw new DomainError('ARGUMENT_INVALID', `there is no store in the schema '${schema}'`, {
      metadata: { schema },
    });
  }
  if (version > FORMAT || version < 1) throw unknownFormat(version);
  throw new DomainError(
    'ENGINE_UNAVAILABLE',
    `the tables have format ${version.toString()}; start a server of this release over them once, which brings them to ${FORMAT.toString()}`,
  );
}

/** Makes empty tables, and the schema when there is none. */
export async function createTables(
  connection: Connection,
  schema: string,
  format: number,
): Promise<void> {
  const schemas = await connection.rows(
    'SELECT 1 FROM information_schema.schemata WHERE schema_name = $1',
    [schema],
  );
  if (schemas.length === 0) await connection.command(`CREATE SCHEMA "${schema}"`);
  await runAll(connection, TABLES);
  await migrateFrom(connection, 1);
  await connection.command('INSERT INTO format (version) VALUES ($1)', [format]);
  await connection.command('INSERT INTO clock VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, false, $1)', [
    randomUUID(),
  ]);
}

/** Removes them. */
export async function dropTables(connection: Connection): Promise<void> {
  const statements = [TABLES, ...MIGRATIONS].join(';');
  const names = [...statements.matchAll(/CREATE (?:UNLOGGED )?TABLE (\w+)/g)];
  // An older release may have made fewer.
  const list = names.map(([, name = '']) => name).join(', ');
  await connection.command(`DROP TABLE IF EXISTS ${list}`);
}

function halfLoaded(schema: string): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `the tables in schema '${schema}' are not loaded to the end; run \`molten migrate\` again, which begins anew, or drop the schema`,
    { metadata: { schema } },
  );
}

async function migrateFrom(connection: Connection, version: number): Promise<void> {
  for (const step of MIGRATIONS.slice(version - 1)) await runAll(connection, step);
}

async function runAll(connection: Connection, statements: string): Promise<void> {
  for (const statement of statements.split(';')) {
    if (statement.trim() !== '') await connection.command(statement);
  }
}

function unknownFormat(version: number): DomainError {
  const [found, known] = [version.toString(), FORMAT.toString()];
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `the tables have format ${found}, this release knows up to ${known}; use the release that made them`,
    { metadata: { format: found, supported: known } },
  );
}

const SIZE = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind = 'r'`;

/** Bytes of all tables of a schema, with their indexes. */
export async function sizeOf(connection: Connection, schema: string): Promise<number> {
  const [size] = await connection.rows<{ bytes: number }>(SIZE, [schema]);
  return size?.bytes ?? 0;
}
