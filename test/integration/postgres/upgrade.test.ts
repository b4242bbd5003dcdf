import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createMoltenClient, toBody } from '../../../src/client/index.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { openPostgresStore } from '../../../src/storage/postgres/open.ts';
import { RELEASE, type Migration, type Release } from '../../../src/storage/postgres/release.ts';
import { builtIndex, indexSpec } from '../../contract/support.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import type { AcknowledgedWrite } from '../../support/watch-properties.ts';
import {
  failureOf,
  increment,
  newSchema,
  openNode,
  put,
  violationsOfAll,
  watchAll,
} from './scene.ts';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off', max_connections: '200' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** A release after another one, with a migration more each. */
function after({ format, migrations }: Release, ...more: readonly Migration[]): Release {
  return { format: format + more.length, migrations: [...migrations, ...more] };
}

const TABLES = [
  ...['clock', 'node', 'collection', 'ver', 'head', 'idx', 'entry', 'retired_idx', 'request'],
  ...['lease', 'budget', 'format'],
];
/** Adds a column to each table. */
const EXPANDED = after(
  RELEASE,
  ...TABLES.map((table) => ({ statements: `ALTER TABLE ${table} ADD COLUMN note text` })),
  { statements: 'CREATE TABLE notes (id bigint PRIMARY KEY)' },
);
/** Leaves the tables to its own servers and to those of the release before it. */
const CONTRACTED = after(EXPANDED, {
  statements: 'ALTER TABLE ver DROP COLUMN note',
  oldest: EXPANDED.format,
});

const NOW = String(RELEASE.format);
const THEN = String(EXPANDED.format);
const LATER = String(CONTRACTED.format);

async function openRelease(schema: string, release: Release): Promise<StorageEngine> {
  const { password } = database;
  return await openPostgresStore({
    ...{ url: database.url(schema), password, clock: systemClock, release },
  });
}

async function formatOf(schema: string): Promise<unknown> {
  return (await database.run(schema, 'SELECT version, oldest FROM format'))[0];
}

/** Uses every table. */
async function useAll(node: StorageEngine, name: string): Promise<void> {
  await node.createIndex(indexSpec(name, ['n']));
  await builtIndex(node, name);
  const request = { principal: 'p', id: name, fingerprint: 'f' };
  const [first, again] = [1, 2].map(() =>
    node.transact({ durability: 'sync', request }, (transaction) => {
      transaction.put({ collection: 'things', key: name, body: '{"n":1}' });
    }),
  );
  expect((await again)?.sequence).toBe((await first)?.sequence);
  await node.dropIndex('things', name);
  expect(await node.lease(name)).toMatchObject({ job: name });
  const draw = { key: name, limit: 10, windowMs: 60_000, amount: 3 };
  expect((await node.budgets?.draw([draw]))?.shares).toMatchObject([{ granted: 3 }]);
  await node.compact((await node.head()).sequence);
}

describe('a release that expands', () => {
  it('joins servers of the one before, which go on, start again, and show all to all', async () => {
    const schema = newSchema();
    const { password } = database;
    const storage = { url: database.url(schema), password, connections: 4 };
    const start = (): Promise<TestServer> => startTestServer({ storage, writeMode: 'sync' });
    const servers = [await start(), await start()] as const;
    const token = await servers[0].rootToken();
    const watches = await watchAll(servers, token);
    const written: AcknowledgedWrite[] = [];
    const note = (key: string, n: number, sequence: bigint): void => {
      written.push({ sequence, collection: 'c', key, n, commit: sequence });
    };
    let isDone = false;
    const writeTo = async ({ url }: TestServer, by: string): Promise<void> => {
      const { documents } = createMoltenClient({ url, token: () => token });
      for (let n = 0; !isDone; n++) {
        const key = `${by}${String(n % 5)}`;
        const body = toBody({ n });
        const { result } = await documents.setDocument({ collection: 'c', key, body });
        note(key, n, result?.sequence ?? 0n);
      }
    };
    const writing = servers.map((server, at) => writeTo(server, `s${String(at)}`));
    await expect.poll(() => written.length, { timeout: 20_000 }).toBeGreaterThan(20);
    await using joined = await openRelease(schema, EXPANDED);
    expect(await formatOf(schema)).toEqual({ version: EXPANDED.format, oldest: 3 });
    for (let n = 0; n < 20; n++) {
      const body = JSON.stringify({ n });
      const { sequence } = await joined.transact({ durability: 'sync' }, (transaction) => {
        transaction.put({ collection: 'c', key: 'next', body });
      });
      note('next', n, sequence);
    }
    // One that restarts, or is brought back to the release before.
    await using third = await start();
    writing.push(writeTo(third, 's2'));
    const before = written.length;
    await expect.poll(() => written.length, { timeout: 20_000 }).toBeGreaterThan(before + 40);
    isDone = true;
    await Promise.all(writing);
    expect(await violationsOfAll(watches, written)).toEqual([]);
    for (const watch of watches) watch.cancel();
    for (const server of servers) await server.close();
  });

  it('leaves every table usable by nodes of the one before', async () => {
    const schema = newSchema();
    await using older = await openNode(database, schema);
    await put(older, 'a');
    await using newer = await openRelease(schema, EXPANDED);
    await useAll(older, 'older');
    await useAll(newer, 'newer');
    expect(await increment(older)).toBe(1);
    expect(await increment(newer)).toBe(2);
  });
});

describe('a release that contracts', () => {
  it('waits until no node of an older one is left, and then keeps them out', async () => {
    const schema = newSchema();
    const older = await openNode(database, schema);
    const other = await openNode(database, schema);
    expect(await increment(older)).toBe(1);
    await using between = await openRelease(schema, EXPANDED);
    expect(await failureOf(openRelease(schema, CONTRACTED))).toMatch(
      `this release leaves the tables to servers from format ${THEN} on, and others are at work on them: 2 of format ${NOW}; bring them to a release in between, or stop them, and start this one a quarter of a minute later`,
    );
    expect(await formatOf(schema)).toEqual({ version: EXPANDED.format, oldest: 3 });
    expect(await increment(older)).toBe(2);
    await older.close();
    await other.close();
    await using newer = await openRelease(schema, CONTRACTED);
    expect(await formatOf(schema)).toEqual({ version: CONTRACTED.format, oldest: EXPANDED.format });
    // Those of the release in between go on, so that a contraction needs no moment without a node.
    expect(await increment(between)).toBe(3);
    expect(await increment(newer)).toBe(4);
    expect(await failureOf(openNode(database, schema))).toMatch(
      `the tables have format ${LATER}, for servers from format ${THEN} on, this release knows up to ${NOW}; use the release that made them`,
    );
    await using again = await openRelease(schema, EXPANDED);
    expect(await increment(again)).toBe(5);
  });

  it('is noticed by an older node that stood still meanwhile, before it writes', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using older = await openNode(database, schema, database.url(schema, relay.port));
    expect(await increment(older)).toBe(1);
    relay.pause();
    const late = failureOf(put(older, 'late'));
    // As it is when it was not heard of for a quarter of a minute.
    await database.run(schema, 'UPDATE node SET seen_at = 0');
    await using newer = await openRelease(schema, CONTRACTED);
    expect(await increment(newer)).toBe(2);
    relay.resume();
    const taken = `the tables have format ${LATER}, for servers from format ${THEN} on, this release knows up to ${NOW}; use the release that made them`;
    expect(await late).toMatch(new RegExp(`^ENGINE_UNAVAILABLE: ${taken}`));
    await expect.poll(() => older.health().state, { timeout: 20_000 }).toBe('readOnly');
    expect(older.health().detail).toContain(taken);
    expect(await failureOf(older.get('things', ['counter']))).toContain(taken);
    expect(await failureOf(increment(older))).toContain(taken);
    expect(await newer.get('things', ['late'])).toEqual([undefined]);
    expect(await increment(newer)).toBe(3);
  });

  it('takes a server of an older one out of the balancer', async () => {
    const schema = newSchema();
    const { password } = database;
    const storage = { url: database.url(schema), password, connections: 4 };
    await using server = await startTestServer({ storage });
    expect((await server.request('GET', '/readyz')).status).toBe(200);
    expect((await server.asRoot('GET', '/v1/collections')).status).toBe(200);
    await database.run(schema, 'UPDATE format SET version = 99, oldest = 99');
    const ready = async (): Promise<number> => (await server.request('GET', '/readyz')).status;
    await expect.poll(ready, { timeout: 20_000 }).toBe(503);
    expect((await server.asRoot('GET', '/v1/collections')).status).toBe(503);
  });
});
