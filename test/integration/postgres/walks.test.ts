/**
 * What a read touches in the database, told by its own counters. The planner knows nothing of a table that has just
 * grown, nor of a collection that came after it last looked: neither may turn a walk in batches into one that
 * reads everything that is left for each of them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { StorageEngine } from '../../../src/storage/engine.ts';
import type { Order } from '../../../src/storage/query/query.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { builtIndex, field, indexSpec, keysOf, QUERY } from '../../contract/support.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { newSchema, openNode } from './scene.ts';

const DOCUMENTS = 5000;
/** A document is a row of two tables, and of the past a step more. */
const ROWS_MAX = 4 * DOCUMENTS;

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres({ fsync: 'off', autovacuum: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function fill(engine: StorageEngine, collection: string): Promise<void> {
  await engine.transact({ durability: 'async' }, (transaction) => {
    for (let n = 0; n < DOCUMENTS; n++) {
      const body = JSON.stringify({ n, unindexed: n, text: 'x'.repeat(100) });
      transaction.put({ collection, key: `k${n.toString().padStart(4, '0')}`, body });
    }
  });
}

/** Rows of tables that some work of a node of its own reads; its counters are there once it has gone. */
async function rowsRead(
  schema: string,
  work: (engine: StorageEngine) => Promise<unknown>,
): Promise<number> {
  await allGone(schema);
  await database.run(schema, 'SELECT pg_stat_reset()');
  const engine = await openNode(database, schema);
  await work(engine);
  await engine.close();
  await allGone(schema);
  const [found] = await database.run(
    schema,
    `SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::float8 AS rows
     FROM pg_stat_user_tables WHERE schemaname = '${schema}'`,
  );
  return (found as { readonly rows: number }).rows;
}

async function allGone(schema: string): Promise<void> {
  await expect
    .poll(() =>
      database.run(schema, `SELECT 1 FROM pg_stat_activity WHERE application_name = 'moltendb'`),
    )
    .toEqual([]);
}

const WALKS: readonly (readonly [string, Order])[] = [
  ['by key', { by: 'key', direction: 'asc' }],
  ['by key backwards', { by: 'key', direction: 'desc' }],
  ['by insertion', { by: 'insertion', direction: 'asc' }],
  ['by an index', { by: 'fields', fields: [{ path: ['n'], direction: 'asc' }] }],
  ['by an index backwards', { by: 'fields', fields: [{ path: ['n'], direction: 'desc' }] }],
];

describe.each([
  ['of tables that have just grown', false],
  ['of a collection that came after the planner looked', true],
])('a walk %s', (_, isLater) => {
  let schema: string;
  let sequence: bigint;

  beforeAll(async () => {
    schema = newSchema();
    const engine = await openNode(database, schema);
    if (isLater) {
      await fill(engine, 'others');
      await database.run(schema, 'ANALYZE');
    }
    await fill(engine, 'things');
    ({ sequence } = await engine.head());
    await engine.createIndex(indexSpec('n', ['n']));
    await builtIndex(engine, 'n');
    await engine.close();
  });

  it.each(WALKS)('reads each document once %s', async (_name, order) => {
    const [filter, matches] =
      order.by === 'fields' ? [field('n', 'gte', 0), DOCUMENTS] : [field('unindexed', 'lt', 1), 1];
    const rows = await rowsRead(schema, async (engine) => {
      expect(await keysOf(engine, { filter, order })).toHaveLength(matches);
    });
    expect(rows).toBeGreaterThan(DOCUMENTS);
    expect(rows).toBeLessThan(ROWS_MAX);
  });

  it('reads each document once in the past', async () => {
    const rows = await rowsRead(schema, (engine) =>
      engine.query(
        { ...QUERY, filter: field('unindexed', 'lt', 1) },
        { atSequence: toSequence(sequence) },
      ),
    );
    expect(rows).toBeGreaterThan(DOCUMENTS);
    expect(rows).toBeLessThan(ROWS_MAX);
  });

  it('reads each entry of the log once', async () => {
    const rows = await rowsRead(schema, async (engine) => {
      const { epoch } = await engine.head();
      const position = { epoch, sequence: toSequence(sequence - BigInt(DOCUMENTS)) };
      expect(await engine.readLog(position, { limit: DOCUMENTS })).toHaveLength(DOCUMENTS);
    });
    expect(rows).toBeGreaterThan(DOCUMENTS);
    expect(rows).toBeLessThan(ROWS_MAX);
  });

  it('reads each document once to build an index', async () => {
    const rows = await rowsRead(schema, async (engine) => {
      await engine.createIndex(indexSpec('text', ['text']));
      expect(await builtIndex(engine, 'text')).toMatchObject({ documentsDone: DOCUMENTS });
    });
    expect(rows).toBeGreaterThan(DOCUMENTS);
    expect(rows).toBeLessThan(ROWS_MAX);
  });
});
