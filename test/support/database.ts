/** The databases of tests: on a server that somebody gives, else on one that is started for them. */
import { randomBytes } from 'node:crypto';

import { Client } from 'pg';

import { parseDatabaseUrl } from '../../src/storage/postgres/address.ts';
import type { Settings, startPostgres as StartPostgres } from './postgres.ts';

/** An empty database that goes when it is disposed of. */
export interface TestDatabase extends AsyncDisposable {
  readonly password: string;
  /** The address of a schema in it; each is a store of its own. */
  url(schema: string): string;
  /** Runs statements as the owner of the tables. */
  run(schema: string, ...statements: readonly string[]): Promise<readonly object[]>;
}

/**
 * Makes a database on the server at MOLTEN_TEST_POSTGRES_URL, or on one that is started with these settings
 * when there is no such variable. A server that is given keeps the settings that it has.
 */
export async function openDatabase(settings: Settings = {}): Promise<TestDatabase> {
  const { MOLTEN_TEST_POSTGRES_URL: given, MOLTEN_TEST_POSTGRES_PASSWORD: password = '' } =
    process.env;
  if (given !== undefined) return await createDatabase(given, password);
  const startPostgres = await importQuietly();
  return await startPostgres(settings);
}

/** Runs statements over a connection of their own; the rows of the last one. */
export async function runAt(
  url: string,
  password: string,
  statements: readonly string[],
): Promise<readonly object[]> {
  const { tls, schema, ...address } = parseDatabaseUrl(url, password);
  const client = new Client({ ...address, ssl: tls ?? false });
  await client.connect();
  try {
    await client.query(`SET search_path TO "${schema}"`);
    let rows: readonly object[] = [];
    for (const statement of statements) ({ rows } = await client.query<object>(statement));
    return rows;
  } finally {
    await client.end();
  }
}

/** In a database of its own nothing of the server's is touched, and all of ours can go at once. */
async function createDatabase(given: string, password: string): Promise<TestDatabase> {
  const name = `molten_test_${randomBytes(8).toString('hex')}`;
  const form = `ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`;
  await runAt(given, password, [`CREATE DATABASE ${name} ${form}`]);
  const url = (schema: string): string => {
    const address = new URL(given);
    address.pathname = name;
    address.searchParams.set('schema', schema);
    return address.href;
  };
  return {
    ...{ password, url },
    run: (schema, ...statements) => runAt(url(schema), password, statements),
    async [Symbol.asyncDispose]() {
      await runAt(given, password, [`DROP DATABASE ${name} WITH (FORCE)`]);
    },
  };
}

/** Ends of a process that the package would make its own. */
const ENDS = ['beforeExit', 'exit'];

/** Without what the package does at the end of a process: it ends with 0, whatever tests have failed. */
async function importQuietly(): Promise<typeof StartPostgres> {
  const before = ENDS.flatMap((event) => process.rawListeners(event));
  const { startPostgres } = await import('./postgres.ts');
  for (const event of ENDS) {
    for (const listener of process.rawListeners(event)) {
      if (!before.includes(listener)) process.off(event, listener as () => void);
    }
  }
  return startPostgres;
}
