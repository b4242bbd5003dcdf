import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openBudgets, type Budgets } from '../../../src/domain/quota/budgets.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { WindowBound } from '../../../src/platform/sliding-windows.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { ROOT, startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import { delegate } from '../access/team.ts';
import { newSchema, openNode } from './scene.ts';

/** Longer than any test lasts, so that none meets the end of a window. */
const HOUR_MS = 3_600_000;
const NODES = 3;

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off', max_connections: '200' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function passed(budgets: Budgets, calls: number, bound: WindowBound): Promise<number> {
  let count = 0;
  for (let n = 0; n < calls; n++) {
    const { waitMs } = await budgets.take('ada', bound);
    count += waitMs === 0 ? 1 : 0;
  }
  return count;
}

describe('a budget of several nodes', () => {
  it.each([7, 100, 1000])(
    'of %i holds over all of them, but for an advance of each',
    async (limit) => {
      const schema = newSchema();
      const nodes = await Promise.all(
        Array.from({ length: NODES }, () => openNode(database, schema)),
      );
      const bound = { limit, windowMs: HOUR_MS };
      const budgets = nodes.map((node) => openBudgets(node, systemClock));
      const counts = await Promise.all(budgets.map((each) => passed(each, limit, bound)));
      const sum = counts.reduce((total, count) => total + count, 0);
      const advance = Math.max(1, Math.floor(limit / 20));
      expect(sum).toBeLessThanOrEqual(limit + NODES * advance);
      expect(sum).toBeGreaterThanOrEqual(limit - NODES * advance);
      // Of none there is nothing left, wherever it comes next.
      const more = await Promise.all(budgets.map((each) => passed(each, 10 * advance, bound)));
      const total = more.reduce((all, count) => all + count, sum);
      expect(total).toBeLessThanOrEqual(limit + NODES * advance);
      await Promise.all(nodes.map((node) => node.close()));
    },
  );

  it('is a part of the limit for each of them while nobody can draw, which counts afterwards', async () => {
    const schema = newSchema();
    const nodes = await Promise.all(
      Array.from({ length: NODES }, () => openNode(database, schema)),
    );
    const bound = { limit: 90, windowMs: HOUR_MS };
    const budgets = nodes.map((node) => openBudgets(node, systemClock));
    // More than an advance: each has drawn, and knows of the others.
    for (const each of budgets) await passed(each, 10, { limit: 90, windowMs: 2 * HOUR_MS });
    const held = database.run(
      schema,
      'BEGIN',
      'LOCK TABLE budget IN ACCESS EXCLUSIVE MODE',
      'SELECT pg_sleep(6)',
      'COMMIT',
    );
    const lock = `SELECT 1 FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'
      AND relation = 'budget'::regclass`;
    await expect.poll(() => database.run(schema, lock)).not.toEqual([]);
    const counts = await Promise.all(budgets.map((each) => passed(each, bound.limit, bound)));
    expect(await database.run(schema, lock)).not.toEqual([]);
    expect(counts).toEqual([30, 30, 30]);
    await held;
    // What each has spent meanwhile it draws when it is asked next; beside that it has a share and an advance.
    const advance = Math.max(1, Math.floor(bound.limit / 20));
    let total = bound.limit;
    for (const calls of [1, 50])
      for (const each of budgets) total += await passed(each, calls, bound);
    expect(total).toBeLessThanOrEqual(bound.limit + 2 * NODES * advance);
    await Promise.all(nodes.map((node) => node.close()));
  });

  it('keeps no name, and no row for longer than it counts', async () => {
    const schema = newSchema();
    const node = await openNode(database, schema);
    const draw = (key: string, windowMs: number): Promise<unknown> | undefined =>
      node.budgets?.draw([{ key, limit: 10, windowMs, amount: 1 }]);
    await draw('principal ada', HOUR_MS);
    const rows = (): Promise<readonly object[]> => database.run(schema, 'SELECT * FROM budget');
    expect(await rows()).toMatchObject([{ count: '1' }]);
    expect(JSON.stringify(await rows())).not.toContain('ada');
    await database.run(schema, 'UPDATE budget SET until = 0');
    await draw('another', HOUR_MS);
    // A node tidies when it starts, and every minute.
    const tidying = await openNode(database, schema);
    await expect.poll(async () => (await rows()).length, { timeout: 20_000 }).toBe(1);
    await Promise.all([node.close(), tidying.close()]);
  });
});

describe('servers on one PostgreSQL', () => {
  const { rates, rateLimit } = testConfig('');

  it.each(['logins', 'verifications'] as const)('count %s of an address together', async (kind) => {
    const storage = {
      ...{ url: database.url(newSchema()), password: database.password, connections: 4 },
    };
    const limit = 9;
    const settings = { storage, rateLimit: { ...rateLimit, windowMs: HOUR_MS } };
    // What is not counted has a token of its own.
    await using free = await startTestServer(settings);
    const token = await free.rootToken();
    const servers = await Promise.all(
      Array.from({ length: NODES }, () =>
        startTestServer({ ...settings, rates: { ...rates, [kind]: limit } }),
      ),
    );
    const call = {
      logins: (server: TestServer) => server.request('POST', '/v1/sessions', { body: ROOT }),
      verifications: (server: TestServer) =>
        server.request('POST', '/oauth2/introspect', {
          ...{ token, body: `token=${token}` },
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        }),
    }[kind];
    const statuses: number[] = [];
    for (let round = 0; round < limit; round++) {
      const answers = await Promise.all(servers.map((server) => call(server)));
      statuses.push(...answers.map(({ status }) => status));
    }
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    const through = statuses.filter((status) => status === 200).length;
    expect(through).toBeGreaterThanOrEqual(limit - NODES);
    expect(through).toBeLessThanOrEqual(limit + NODES);
    expect((await call(free)).status).toBe(200);
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  });

  it('let a user, and a token, call as often as one server would', async () => {
    const storage = {
      ...{ url: database.url(newSchema()), password: database.password, connections: 4 },
    };
    const settings = { storage, rates: { ...rates, principal: 80 } };
    const servers = await Promise.all(
      Array.from({ length: NODES }, () =>
        startTestServer({ ...settings, rateLimit: { ...rateLimit, windowMs: HOUR_MS } }),
      ),
    );
    const [one] = servers;
    if (one === undefined) throw new Error('there is one');
    const made = await delegate(one, await one.rootToken(), {
      ...{ clientId: 'app', scopes: ['read:*:*'], callsPerMinute: 12 },
    });
    const calls = async (token: string, count: number): Promise<number> => {
      let through = 0;
      for (let n = 0; n < count; n++) {
        const answers = await Promise.all(
          servers.map((server) => server.request('GET', '/v1/sessions/current', { token })),
        );
        through += answers.filter(({ status }) => status !== 429).length;
      }
      return through;
    };
    const byToken = await calls(made.token, 12);
    expect(byToken).toBeGreaterThanOrEqual(12 - NODES);
    // Its minute may end meanwhile, and a little of the one before no longer count.
    expect(byToken).toBeLessThanOrEqual(12 + 3 * NODES);
    const byUser = await calls(await one.rootToken(), 30);
    expect(byUser).toBeGreaterThanOrEqual(25);
    expect(byUser).toBeLessThanOrEqual(80 + 4 * NODES);
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  });
});
