import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { delay } from '../../platform/timers.ts';
import { lockClock } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { isTransient, sqlState } from './errors.ts';
import { beat } from './nodes.ts';
import { contract, formatOf, RELEASE, tooNew, type Format, type Release } from './release.ts';

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
 * - `lease`: one row per job that one node does at a time. `fence` grows whenever another node takes it. `moment` is
 *   the last of its schedule for which any took it, and `done_at` when any last did it.
 * - `budget`: one row per rate limit and whoever it counts, of what all nodes drew from it in a window and
 *   the one before. Unlogged: it is of the moment, and empty after a crash.
 *
 * Here they are as of format 1; what releases added is in their migrations.
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

const ATTEMPTS_MAX = 20;
const RETRY_MS = 50;
/** Longest wait of a step for those who use a table: no node is out of step for all that wait behind it. */
const STEP_LOCK_MS = 1000;

const FIRST_CLOCK = `INSERT INTO clock
  (id, seq, ts, durable_seq, floor, floor_at, pruned_to, history_bytes, ids, has_work, epoch)
  VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, false, $1)`;

/**
 * Creates the tables where there are none, or brings older ones to the format of a release, each step in a transaction
 * of its own, and tells of the node. Nodes that start side by side wait for each other. ENGINE_UNAVAILABLE for tables
 * that were taken from this release, and for a step that would take them from nodes at work.
 */
export async function prepareSchema(
  connection: Connection,
  schema: string,
  who: { readonly node: string; readonly release: Release },
): Promise<void> {
  const step = (): Promise<boolean> => prepareStep(connection, schema, who);
  while (!(await inSchemaTurn(connection, step)));
}

/** Does some work on the tables in one transaction, and again when others do the same. */
export async function inSchemaTurn<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await refuseOtherEncodings(connection);
  for (let attempt = 1; ; attempt++) {
    try {
      await connection.command('BEGIN');
      const result = await work();
      await connection.command('COMMIT');
      return result;
    } catch (error) {
      await connection.command('ROLLBACK');
      if (!isRace(error) || attempt >= ATTEMPTS_MAX) throw error;
      await delay(RETRY_MS);
    }
  }
}

/** Something is there already, or a table is in use. */
const RACES = ['23505', '42P06', '42P07', '42710', '55P03'];

/** Two nodes that create the same thing at once: one of them finds it there. Nodes at work: later they let go. */
function isRace(error: unknown): boolean {
  return isTransient(error) || RACES.includes(sqlState(error) ?? '');
}

async function refuseOtherEncodings(connection: Connection): Promise<void> {
  const [row] = await connection.rows<{ server_encoding: string }>('SHOW server_encoding');
  if (row?.server_encoding === 'UTF8') return;
  throw new DomainError(
    'ENGINE_UNAVAILABLE',
    `the database has the encoding ${String(row?.server_encoding)}; create one with UTF8`,
  );
}

/** True: the tables are what the release needs, and know of the node. */
async function prepareStep(
  connection: Connection,
  schema: string,
  { node, release }: { readonly node: string; readonly release: Release },
): Promise<boolean> {
  const found = await lockFormat(connection, schema);
  if (found === undefined) {
    await createTables(connection, schema, release);
  } else if (found.version === LOADING) {
    throw halfLoaded(schema);
  } else if (found.version < release.format) {
    await migrate(connection, found.version, release);
    return false;
  } else if (found.version > release.format && found.oldest > release.format) {
    throw tooNew(found, release);
  }
  // Before anybody else may look whether older nodes are left.
  return await beat(connection, { node, format: release.format, pinned: undefined });
}

/** The format of the tables, held until the transaction ends; undefined when there are none. */
export async function lockFormat(
  connection: Connection,
  schema: string,
): Promise<Format | undefined> {
  const tables = await connection.rows(
    `SELECT 1 FROM information_schema.tables WHERE table_schema = $1 AND table_name = 'format'`,
    [schema],
  );
  if (tables.length === 0) return undefined;
  // Holds back other nodes until this one is done.
  return formatOf(await connection.rows<Format>('SELECT * FROM format FOR UPDATE'));
}

/** Fails when the tables are not those of a whole store of this release. */
export async function assertComplete(connection: Connection, schema: string): Promise<void> {
  const found = await lockFormat(connection, schema);
  if (found?.version === RELEASE.format) return;
  if (found?.version === LOADING) throw halfLoaded(schema);
  if (found === undefined) {
    throw new DomainError('ARGUMENT_INVALID', `there is no store in the schema '${schema}'`, {
      metadata: { schema },
    });
  }
  // Of what only a newer release knows nothing would be copied.
  if (found.version > RELEASE.format) throw tooNew(found, RELEASE);
  throw new DomainError(
    'ENGINE_UNAVAILABLE',
    `the tables have format ${String(found.version)}; start a server of this release over them once, which brings them to ${String(RELEASE.format)}`,
  );
}

/** Makes empty tables, and the schema when there is none. */
export async function createTables(
  connection: Connection,
  schema: string,
  release: Release = RELEASE,
): Promise<void> {
  const schemas = await connection.rows(
    'SELECT 1 FROM information_schema.schemata WHERE schema_name = $1',
    [schema],
  );
  if (schemas.length === 0) await connection.command(`CREATE SCHEMA "${schema}"`);
  await runAll(connection, TABLES);
  await connection.command('INSERT INTO format (version) VALUES (1)');
  await connection.command(FIRST_CLOCK, [randomUUID()]);
  for (let version = 1; version < release.format; version++) {
    await migrate(connection, version, release);
  }
}

/** Removes them. */
export async function dropTables(connection: Connection): Promise<void> {
  const { migrations } = RELEASE;
  const statements = [TABLES, ...migrations.map((migration) => migration.statements)].join(';');
  const names = [...statements.matchAll(/CREATE (?:UNLOGGED )?TABLE (\w+)/g)];
  // An older release may have made fewer.
  const list = names.map(([, name = '']) => name).join(', ');
  await connection.command(`DROP TABLE IF EXISTS ${list}`);
}

/**
 * Takes the tables one format on. Nobody writes meanwhile. A table that is changed waits for those who read, and all
 * others wait behind it: this gives up early, and is tried again.
 */
async function migrate(
  connection: Connection,
  version: number,
  { migrations }: Release,
): Promise<void> {
  const { statements, oldest } = migrations[version - 1] ?? { statements: '' };
  await connection.command(`SET LOCAL lock_timeout TO ${String(STEP_LOCK_MS)}`);
  await lockClock(connection);
  await runAll(connection, statements);
  if (oldest !== undefined) await contract(connection, oldest);
  await connection.command('UPDATE format SET version = $1', [version + 1]);
}

function halfLoaded(schema: string): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `the tables in schema '${schema}' are not loaded to the end; run \`molten migrate\` again, which begins anew, or drop the schema`,
    { metadata: { schema } },
  );
}

async function runAll(connection: Connection, statements: string): Promise<void> {
  for (const statement of statements.split(';')) {
    if (statement.trim() !== '') await connection.command(statement);
  }
}

const SIZE = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind = 'r'`;

/** Bytes of all tables of a schema, with their indexes. */
export async function sizeOf(connection: Connection, schema: string): Promise<number> {
  const [size] = await connection.rows<{ bytes: number }>(SIZE, [schema]);
  return size?.bytes ?? 0;
}
