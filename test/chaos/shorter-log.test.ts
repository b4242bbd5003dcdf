/**
 * PostgreSQL is killed (SIGKILL) before it has flushed what was acknowledged without waiting for the disk, and
 * comes back with a shorter log. What is written then has sequences that nodes have seen before.
 */
import { describe, expect, it } from 'vitest';

import { createMoltenClient, toBody, withRetries } from '../../src/client/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const SCHEMA = 'molten';
const LOST = 40;
const TOLD = ['x', 'y', 'z'];
/** Attempts to lose something: whatever anybody flushes takes along what was to be lost. */
const ATTEMPTS_MAX = 8;

/** A database that writes to its disk when it has to, and whose nodes cannot make it. */
const LAZY = { synchronous_commit: 'off', wal_writer_delay: '10s' };
const NO_FLUSH = [
  `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN RAISE EXCEPTION 'not now'; END $$`,
  `CREATE TRIGGER refuse BEFORE UPDATE ON clock FOR EACH ROW
     WHEN (NEW.seq = OLD.seq AND NEW.durable_seq > OLD.durable_seq) EXECUTE FUNCTION refuse()`,
  'SET synchronous_commit = on',
  'CREATE TABLE flushed ()',
];
const FLUSH_AGAIN = ['DROP TRIGGER refuse ON clock', 'DROP FUNCTION refuse', 'DROP TABLE flushed'];

describe('a database that comes back without its last commits', () => {
  it('is followed on every node, and what was forgotten hides nothing', async () => {
    await using database = await startPostgres(LAZY);
    const { password } = database;
    const storage = { url: database.url(SCHEMA), password, connections: 4 };
    const start = (): Promise<TestServer> => startTestServer({ storage, writeMode: 'sync' });
    await using one = await start();
    await using other = await start();
    await using writer = await openPostgresStore({ ...storage, clock: systemClock });
    const root = await one.rootToken();
    await write(writer, 'first', 'sync');
    const keys: ApiKey[] = [];
    while (keys.length < ATTEMPTS_MAX) keys.push(await makeKey(one));
    const leaving = new AbortController();
    const told = await Promise.all([one, other].map((server) => follow(server, root, leaving)));

    const { seen, attempt } = await loseSome(
      { servers: [one, other], database, writer },
      async (at) => {
        // The node notes that the key was used, and does not wait for the disk.
        expect(await use(one, keys[at])).toBe(200);
        const text = `SELECT 1 FROM ver, clock WHERE key = '${String(keys[at]?.id)}' AND ver.seq > durable_seq`;
        const noted = async (): Promise<number> => (await database.run(SCHEMA, text)).length;
        await expect.poll(noted).toBe(1);
      },
    );
    const { documents } = createMoltenClient({ url: other.url, token: () => root });
    for (const key of TOLD) {
      await withRetries(() =>
        documents.setDocument({ collection: 'things', key, body: toBody({}) }),
      );
    }
    for (const names of told) {
      await expect.poll(() => names.at(-1), { timeout: 20_000 }).toBe(TOLD.at(-1));
      const prefix = prefixOf(attempt);
      const fresh = names.filter((name) => !name.startsWith('lost') || name.startsWith(prefix));
      expect(fresh).toEqual(TOLD);
    }
    const path = `/v1/apiKeys/${String(keys[attempt]?.id)}`;
    const rotated = await other.asRoot('POST', `${path}:rotate`, { overlap: '0s' });
    expect(rotated.status).toBe(200);
    await expect.poll(() => use(one, keys[attempt]), { timeout: 10_000 }).toBe(401);
    // All of it with sequences that were given before.
    expect((await writer.head()).sequence).toBeLessThan(seen);
    leaving.abort();
  });
});

interface Nodes {
  readonly servers: readonly TestServer[];
  readonly database: TestPostgres;
  readonly writer: StorageEngine;
}

interface ApiKey {
  readonly id: string;
  readonly text: string;
}

async function makeKey(server: TestServer): Promise<ApiKey> {
  const { body } = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:*:*'] });
  return { id: String(body.apiKey.apiKeyId), text: String(body.text) };
}

async function use(server: TestServer, key: ApiKey | undefined): Promise<number> {
  const token = String(key?.text);
  return (await server.request('GET', '/v1/sessions/current', { token })).status;
}

function prefixOf(attempt: number): string {
  return `lost-${String(attempt)}-`;
}

/** Keys of the changes that an application is told from now on, over any number of connections. */
async function follow(
  { url }: TestServer,
  root: string,
  { signal }: AbortController,
): Promise<readonly string[]> {
  const keys: string[] = [];
  const request = { targets: [{ collection: 'things' }] };
  const told = createMoltenClient({ url, token: () => root }).watch(request, { signal });
  await told.next();
  const read = async (): Promise<void> => {
    for await (const { changes } of told) keys.push(...changes.map(({ key }) => key));
  };
  // What it has missed is missing.
  void read().catch(() => undefined);
  return keys;
}

/** Kills the database until it has lost commits that all have seen: up to where, and in which attempt. */
async function loseSome(
  { servers, database, writer }: Nodes,
  andThen: (attempt: number) => Promise<void>,
): Promise<{ readonly seen: bigint; readonly attempt: number }> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const prefix = prefixOf(attempt);
    await database.run(SCHEMA, ...NO_FLUSH);
    for (let n = 0; n < LOST; n++) await write(writer, `${prefix}${String(n)}`, 'async');
    await andThen(attempt);
    const { sequence: seen } = await writer.head();
    for (const server of servers) {
      const sequence = async (): Promise<bigint> =>
        BigInt((await server.asRoot('GET', '/v1/status')).body.sequence as string);
      await expect.poll(sequence, { timeout: 20_000 }).toBeGreaterThanOrEqual(seen);
    }
    await database.kill();
    await database.start();
    const [clock] = (await database.run(SCHEMA, 'SELECT seq FROM clock')) as { seq: string }[];
    await database.run(SCHEMA, ...FLUSH_AGAIN);
    if (BigInt(clock?.seq ?? seen) + BigInt(LOST) <= seen) return { seen, attempt };
  }
  throw new Error(`${String(ATTEMPTS_MAX)} crashes lost nothing`);
}

async function write(
  engine: StorageEngine,
  key: string,
  durability: 'sync' | 'async',
): Promise<void> {
  await engine.transact({ durability }, (transaction) => {
    transaction.put({ collection: 'things', key, body: '{}' });
  });
}
