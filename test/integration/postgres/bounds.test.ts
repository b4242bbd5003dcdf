import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { openPostgresStore } from '../../../src/storage/postgres/open.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { failureOf, newSchema, openNode, put } from './scene.ts';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe('writes of one node', () => {
  it('that wait for each other share a commit', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    await using node = await openNode(database, schema, database.url(schema, relay.port));
    await put(node, 'a');
    const before = relay.commits;
    const sequences = await Promise.all(
      Array.from({ length: 300 }, (_, n) => put(node, n.toString())),
    );
    expect(new Set(sequences).size).toBe(300);
    expect(relay.commits - before).toBeLessThan(30);
    expect(relay.commits - before).toBeGreaterThan(0);
  });
});

describe('a statement that takes too long', () => {
  it('is given up by the database, and said to be', async () => {
    const schema = newSchema();
    const { password } = database;
    await using node = await openPostgresStore({
      ...{ url: database.url(schema), password, clock: systemClock, statementMs: 500 },
    });
    await put(node, 'a');
    const held = database.run(
      schema,
      'BEGIN',
      'LOCK TABLE idx, head IN ACCESS EXCLUSIVE MODE',
      'SELECT pg_sleep(4)',
      'COMMIT',
    );
    const sleeping = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    await expect.poll(() => database.run(schema, sleeping)).toHaveLength(1);
    const tooLong =
      'ENGINE_UNAVAILABLE: the database took longer than its time limit; try again, or narrow what is asked';
    expect(await failureOf(node.indexes('things'))).toBe(tooLong);
    expect(await failureOf(put(node, 'b'))).toBe(tooLong);
    await held;
    expect(await failureOf(put(node, 'b'))).toBeUndefined();
  });
});

describe('request ids that nobody will repeat', () => {
  it('are forgotten as fast as they may come, and others kept', async () => {
    const schema = newSchema();
    {
      await using first = await openNode(database, schema);
      await put(first, 'a');
    }
    await database.run(
      schema,
      `INSERT INTO request (principal, id, fingerprint, at, answer)
        SELECT 'p', n::text, '', 0, '{}' FROM generate_series(1, 10500) n`,
      `INSERT INTO request (principal, id, fingerprint, at, answer)
        VALUES ('p', 'new', '', extract(epoch FROM now()) * 1000, '{}')`,
    );
    await using _node = await openNode(database, schema);
    const left = (): Promise<readonly object[]> => database.run(schema, 'SELECT id FROM request');
    await expect.poll(left, { timeout: 20_000 }).toEqual([{ id: 'new' }]);
  });
});
