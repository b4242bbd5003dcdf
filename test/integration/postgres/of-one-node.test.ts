/** What belongs to one server of several on one store: operations, and restores while they run. */
import { hostname } from 'node:os';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { newSchema } from './scene.ts';

const LATELY = { timeout: 10_000 };

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

interface Pair extends AsyncDisposable {
  readonly schema: string;
  readonly one: TestServer;
  readonly other: TestServer;
}

/** Two servers of one store, in which a collection has one document. */
async function startPair(): Promise<Pair> {
  const schema = newSchema();
  const storage = { url: database.url(schema), password: database.password, connections: 4 };
  const one = await startTestServer({ storage });
  const other = await startTestServer({ storage });
  const path = '/v1/collections/things/documents/a';
  expect((await one.asRoot('PUT', path, { body: { fields: { n: 1 } } })).status).toBe(200);
  // Signs in, which is a write.
  await other.rootToken();
  return {
    ...{ schema, one, other },
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    },
  };
}

interface Begun {
  readonly status: number;
  readonly reason: unknown;
  readonly detail: string;
  readonly operation: string;
}

/** Asks for what the collection is now, under another name. */
async function restore(server: TestServer, target = 'back'): Promise<Begun> {
  const { body: state } = await server.asRoot('GET', '/v1/status');
  const request = { point: { sequence: state.sequence }, collection: 'things', target };
  const { status, body } = await server.asRoot('POST', '/v1/restores', request);
  const operation = String((body.operation as { id?: string } | undefined)?.id);
  return { status, reason: body.reason, detail: String(body.detail), operation };
}

/** How an operation ends, as the server says that began it. */
async function endOf(server: TestServer, operation: string): Promise<unknown> {
  const { body } = await server.asRoot('POST', `/v1/operations/${operation}:wait`, {});
  const { state, error } = body.operation as { state: string; error?: { message: string } };
  return error?.message ?? state;
}

/** Holds up the commits of all servers until it is disposed of. */
async function holdUp(schema: string): Promise<AsyncDisposable> {
  const sleep = `SELECT pg_sleep(12) AS ${schema}`;
  const held = database.run(schema, 'BEGIN', 'SELECT 1 FROM clock FOR UPDATE', sleep);
  const over = held.catch(() => undefined);
  const sleeper = `FROM pg_stat_activity WHERE query = '${sleep}' AND wait_event = 'PgSleep'`;
  await expect.poll(() => database.run(schema, `SELECT 1 ${sleeper}`), LATELY).toHaveLength(1);
  return {
    async [Symbol.asyncDispose]() {
      await database.run(schema, `SELECT pg_cancel_backend(pid) ${sleeper}`);
      await over;
    },
  };
}

/** Waits until a server has the target `back`, as the one that is the `fence`th to have it. */
async function targetTaken(schema: string, fence: number): Promise<void> {
  const lease = `SELECT 1 FROM lease WHERE job = 'restore back' AND fence = ${String(fence)}`;
  await expect.poll(() => database.run(schema, lease), LATELY).toHaveLength(1);
}

/** Begins a restore at the first server and does something before it can write; how it was begun. */
async function whileRestoring({ schema, one }: Pair, work: () => Promise<unknown>): Promise<Begun> {
  let begun: Promise<Begun>;
  {
    await using _held = await holdUp(schema);
    begun = restore(one);
    await targetTaken(schema, 1);
    await work();
  }
  return await begun;
}

describe('an operation of one of several servers', () => {
  it('is asked for where it was begun, which the others say', async () => {
    await using pair = await startPair();
    const { one, other } = pair;
    const { body } = await one.asRoot('POST', '/v1/snapshots', { wait: '60s' });
    const { id } = body.operation as { id: string };
    expect(id).toMatch(new RegExp(`^[0-9a-f-]{36}@${hostname()}$`));
    const found = await one.asRoot('GET', `/v1/operations/${id}`);
    expect(found.body.operation).toMatchObject({ id, state: 'OPERATION_STATE_SUCCEEDED' });
    expect(await endOf(one, encodeURIComponent(id))).toBe('OPERATION_STATE_SUCCEEDED');
    const asked = [
      await other.asRoot('GET', `/v1/operations/${id}`),
      await other.asRoot('POST', `/v1/operations/${id}:wait`, {}),
      await other.asRoot('POST', `/v1/operations/${id}:cancel`, {}),
    ];
    for (const { status, body: refusal } of asked) {
      expect(status).toBe(404);
      expect(refusal).toMatchObject({ reason: 'OPERATION_NOT_FOUND' });
      expect(refusal.detail).toContain(
        `at this node; node '${hostname()}' began it, and only there it can be asked for`,
      );
    }
    expect((await other.asRoot('GET', '/v1/operations')).body.operations).toEqual([]);
    expect((await other.asRoot('GET', '/v1/snapshots')).body.snapshots).toEqual([]);
  });
});

describe('a restore of one of several servers', () => {
  it('has its target for itself, and gives it back', async () => {
    await using pair = await startPair();
    const { one, other } = pair;
    let elsewhere: Promise<Begun> | undefined;
    const first = await whileRestoring(pair, async () => {
      for (const server of [other, one]) {
        const refused = await restore(server);
        expect(refused).toMatchObject({ status: 409, reason: 'COLLECTION_EXISTS' });
        expect(refused.detail).toMatch(/^a restore into collection 'back' is under way/);
      }
      elsewhere = restore(other, 'elsewhere');
    });
    expect([first.status, (await elsewhere)?.status]).toEqual([200, 200]);
    expect(await endOf(one, first.operation)).toBe('OPERATION_STATE_SUCCEEDED');
    expect((await restore(other)).detail).toMatch(/^collection 'back' has documents/);
    expect((await other.asRoot('DELETE', '/v1/collections/back')).status).toBe(200);
    const again = await restore(other);
    expect(await endOf(other, again.operation)).toBe('OPERATION_STATE_SUCCEEDED');
  });

  it('that lost its target to another one writes nothing, and takes nothing away', async () => {
    await using pair = await startPair();
    const { schema, one, other } = pair;
    let following: Promise<Begun> | undefined;
    const late = await whileRestoring(pair, async () => {
      // As it is when a server has stood still for half a minute.
      await database.run(schema, 'UPDATE lease SET until = 0');
      following = restore(other);
      await targetTaken(schema, 2);
    });
    const next = await following;
    expect([late.status, next?.status]).toEqual([200, 200]);
    expect(await endOf(one, late.operation)).toBe("another node has taken the job 'restore back'");
    expect(await endOf(other, next!.operation)).toBe('OPERATION_STATE_SUCCEEDED');
    const { body } = await one.asRoot('GET', '/v1/collections/back/documents');
    expect(body.documents).toHaveLength(1);
  });
});
