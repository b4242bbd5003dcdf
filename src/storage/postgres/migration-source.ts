import type { MigrationSource } from '../transfer/migrate.ts';
import type { StateReader } from '../transfer/rows.ts';
import { parseDatabaseUrl } from './address.ts';
import { lockClock } from './clock-row.ts';
import { connect, LOCK_MS, type Connection } from './connections.ts';
import { translate } from './errors.ts';
import { assertComplete } from './schema.ts';
import { createStateReader } from './state-reader.ts';
import { countNodes, NODE_GONE_MS } from './nodes.ts';

/** A schema of a database, and the password of its user. */
export interface DatabasePlace {
  readonly url: string;
  readonly password: string | undefined;
}

/** Milliseconds. Nobody waits for these statements but the one who moves a store. */
export const TIMES: {
  readonly connectMs: number;
  readonly statementMs: number;
  readonly lockMs: number;
} = { connectMs: 5000, statementMs: 60 * 60 * 1000, lockMs: LOCK_MS };

/** The store in a schema, to be moved. ENGINE_UNAVAILABLE when there is none, or it is not complete. */
export async function openDatabaseSource({
  url,
  password,
}: DatabasePlace): Promise<MigrationSource> {
  const address = parseDatabaseUrl(url, password);
  let holding: Connection | undefined;
  const open = (): Promise<Connection> => connect(address, TIMES);
  await translated(async () => {
    await using first = await closing(open());
    await assertComplete(first.connection, address.schema);
  });
  return {
    read: (work) =>
      translated(async () => {
        await using reader = await closing(open());
        return await inState(reader.connection, work);
      }),
    hold: () =>
      translated(async () => {
        const connection = (holding ??= await open());
        const user = await userOf(connection);
        if (user !== undefined) return user;
        await connection.command('BEGIN');
        // However long the rest takes; the database ends it when this process does.
        await connection.command('SET LOCAL idle_in_transaction_session_timeout TO 0');
        await lockClock(connection);
        const late = await userOf(connection);
        if (late !== undefined) await connection.command('ROLLBACK');
        return late;
      }),
    async [Symbol.asyncDispose]() {
      await holding?.close();
    },
  };
}

async function userOf(connection: Connection): Promise<string | undefined> {
  const nodes = await countNodes(connection);
  if (nodes === 0) return undefined;
  return `${String(nodes)} servers told of themselves within the last ${String(NODE_GONE_MS / 1000)} seconds`;
}

/** Reads one state of a database. */
export async function inState<T>(
  connection: Connection,
  work: (state: StateReader) => Promise<T>,
): Promise<T> {
  await connection.command('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    return await work(await createStateReader(connection));
  } finally {
    await connection.command('ROLLBACK');
  }
}

/** A connection for the time of a block. */
async function closing(
  opening: Promise<Connection>,
): Promise<AsyncDisposable & { readonly connection: Connection }> {
  const connection = await opening;
  return { connection, [Symbol.asyncDispose]: () => connection.close() };
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}
