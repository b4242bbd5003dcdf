import { DomainError } from '../../errors/domain-error.ts';
import { NOW_MS } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { RELEASE } from './release.ts';
import { createTables, dropTables, inSchemaTurn, LOADING, lockFormat } from './schema.ts';

/** Notes that a load goes on; no row: it is not the one that may. */
export const FENCE = `UPDATE load SET seen_at = (extract(epoch FROM now()) * 1000)::bigint
  WHERE id = $1 RETURNING id`;

/** A load that was not heard of for so long has ended. */
const LOAD_GONE_MS = 30_000;
const UNDER_WAY = `SELECT 1 FROM load
  WHERE seen_at > ${NOW_MS} - $1::bigint`;
const TABLES_OF =
  'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = $1';

/** Makes empty tables that no server opens, in the place of those that a load left behind. */
export async function beginLoad(
  connection: Connection,
  schema: string,
  load: string,
): Promise<void> {
  await inSchemaTurn(connection, async () => {
    const format = await lockFormat(connection, schema);
    if (format?.version === LOADING) await removeLoad(connection, schema);
    else await assertEmpty(connection, schema);
    await createTables(connection, schema);
    await setFormat(connection, LOADING);
    await connection.command('CREATE TABLE load (id text PRIMARY KEY, seen_at bigint NOT NULL)');
    await connection.command('INSERT INTO load (id, seen_at) VALUES ($1, 0)', [load]);
    await connection.command(FENCE, [load]);
  });
}

/** Makes them tables that servers open; part of a transaction. */
export async function endLoad(connection: Connection): Promise<void> {
  await connection.command('DROP TABLE load');
  await setFormat(connection, RELEASE.format);
}

async function setFormat(connection: Connection, version: number): Promise<void> {
  await connection.command('UPDATE format SET version = $1', [version]);
}

/** Removes all that `beginLoad` made; part of a transaction. */
export async function dropLoad(connection: Connection): Promise<void> {
  await dropTables(connection);
  await connection.command('DROP TABLE load');
}

async function removeLoad(connection: Connection, schema: string): Promise<void> {
  const underWay = await connection.rows(UNDER_WAY, [LOAD_GONE_MS]);
  if (underWay.length > 0) {
    throw new DomainError(
      'ENGINE_UNAVAILABLE',
      `schema '${schema}' is being loaded by another process; wait for its end, or ${String(LOAD_GONE_MS / 1000)} seconds after it was stopped`,
      { metadata: { schema } },
    );
  }
  await dropLoad(connection);
}

async function assertEmpty(connection: Connection, schema: string): Promise<void> {
  const tables = await connection.rows<{ name: string }>(TABLES_OF, [schema]);
  if (tables.length === 0) return;
  const what = tables.some(({ name }) => name === 'format') ? 'a store' : 'other tables';
  throw new DomainError(
    'ARGUMENT_INVALID',
    `schema '${schema}' holds ${what} already; name one that is empty, by ?schema=, or drop it`,
    { metadata: { schema } },
  );
}
