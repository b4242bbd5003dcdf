import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openBudgets, type Budgets } from '../../../src/domain/quota/budgets.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { WindowBound } from '../../../src/platform/sliding-windows.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { startTestServer, testConfig } from '../../support/server.ts';
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
