import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { StorageEngine } from '../../../src/storage/engine.ts';
import { toSequence, type LogEntry } from '../../../src/storage/types.ts';
import { builtIndex, indexSpec } from '../../contract/support.ts';
import { startCommitRelay } from '../../support/commit-relay.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { failureOf, increment, logOf, newSchema, openNode, put } from './scene.ts';

let database: TestPostgres;

beforeAll(async () => {
  database = await startPostgres();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe('several nodes on one database', () => {
  it('write one log without a gap, in an order that nobody sees change', async () => {
    const schema = newSchema();
    const nodes = await openNodes(schema, 4);
    const [reader] = nodes;
    const { epoch } = await reader.head();
    const seen: LogEntry[] = [];
    let isWriting = true;
    // A reader that goes on from the last it saw misses nothing, or the order is none.
    const tail = async (): Promise<void> => {
      for (let isLast = false; !isLast;) {
        isLast = !isWriting;
        const sequence = seen.at(-1)?.sequence ?? toSequence(0);
        seen.push(...(await reader.readLog({ epoch, sequence }, { limit: 1000 })));
      }
    };
    const tailing = tail();
    await Promise.all(
      nodes.map(async (node, at) => {
        for (let n = 0; n < 25; n++) {
          await Promise.all([0, 1, 2, 3].map((of) => put(node, `${at}-${n}-${of}`)));
        }
      }),
    );
    isWriting = false;
    await tailing;
    // One for the collection, 400 for documents.
    expect(seen.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 401 }, (_, at) => BigInt(at + 1)),
    );
    expect(await logOf(nodes[3] ?? reader)).toEqual(seen);
    await closeAll(nodes);
  });

  it('lose no update of one document, and check preconditions as of their turn', async () => {
    const nodes = await openNodes(newSchema(), 3);
    const values = await Promise.all(
      nodes.map(async (node) => {
        const own: number[] = [];
        while (own.length < 15) {
          const value = await increment(node).catch(() => undefined);
          if (value !== undefined) own.push(value);
        }
        return own;
      }),
    );
    expect(values.flat().sort((a, b) => a - b)).toEqual(
      Array.from({ length: 45 }, (_, at) => at + 1),
    );
    // Of those who insert the same key one wins.
    const claims = await Promise.all(
      nodes.flatMap((node) => [0, 1, 2].map(() => failureOf(claim(node)))),
    );
    expect(claims.filter((failure) => failure === undefined)).toHaveLength(1);
    await closeAll(nodes);
  });

  it('are told of what others commit, and read it', async () => {
    const nodes = await openNodes(newSchema(), 2);
    const [one, other] = nodes;
    const told = new Promise<bigint>((resolve) => {
      other.onCommit((last) => {
        if (other.health().durableSequence >= 2n) resolve(last);
      });
    });
    const sequence = await put(one, 'a');
    expect(await told).toBe(sequence);
    expect((await other.get('things', ['a'])).at(0)?.sequence).toBe(sequence);
    expect(await other.findCollection('things')).toMatchObject({ documents: 1 });
    await closeAll(nodes);
  });

  it('know what others have committed when they have caught up, by one look for all who ask', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    const one = await openNode(database, schema, database.url(schema, relay.port));
    const other = await openNode(database, schema, database.url(schema, relay.port));
    relay.isQuiet = true;
    const told: string[] = [];
    const missed = (): Promise<void> => Promise.resolve();
    other.follow('things', { told: ({ key }) => told.push(key), missed });
    for (let n = 0; n < 10; n++) {
      await put(one, String(n));
      await other.catchUp();
      expect(told).toHaveLength(n + 1);
    }
    const before = relay.sent;
    await Promise.all(Array.from({ length: 1000 }, () => other.catchUp()));
    // One may have been under way; the others are what nodes send by themselves.
    expect(relay.sent - before).toBeLessThan(20);
    await closeAll([one, other]);
  });

  it('follow each other on a database that does not know LISTEN, and send it no NOTIFY', async () => {
    await using relay = await startCommitRelay(database.port);
    relay.isDeaf = true;
    const schema = newSchema();
    const one = await openNode(database, schema, database.url(schema, relay.port));
    const other = await openNode(database, schema, database.url(schema, relay.port));
    const told: string[] = [];
    const missed = (): Promise<void> => Promise.resolve();
    other.follow('things', { told: ({ key }) => told.push(key), missed });
    for (const key of ['a', 'b', 'c']) await put(one, key);
    await expect.poll(() => told).toEqual(['a', 'b', 'c']);
    expect(relay.notifications).toBe(0);
    await closeAll([one, other]);
  });

  it('start side by side on an empty database', async () => {
    const schema = newSchema();
    const nodes = await Promise.all(Array.from({ length: 4 }, () => openNode(database, schema)));
    const epochs = await Promise.all(nodes.map(async (node) => (await node.head()).epoch));
    expect(new Set(epochs).size).toBe(1);
    await closeAll(nodes);
  });

  it('hold the floor for the readers of each other', async () => {
    const schema = newSchema();
    const nodes = await openNodes(schema, 2);
    const [one, other] = nodes;
    for (let n = 0; n < 6; n++) await put(one, 'a');
    const unpin = other.pin(() => toSequence(3));
    const pinned = async (): Promise<unknown> =>
      await database.run(schema, 'SELECT pinned FROM node WHERE pinned IS NOT NULL');
    await expect.poll(pinned, { timeout: 20_000 }).toEqual([{ pinned: '3' }]);
    expect(await one.compact(toSequence(5))).toBe(3n);
    unpin();
    await expect.poll(pinned, { timeout: 20_000 }).toEqual([]);
    expect(await one.compact(toSequence(5))).toBe(5n);
    await closeAll(nodes);
  });
});

describe('a commit whose answer is lost', () => {
  it.each([
    ['before it arrives', 'before'],
    ['after it is done', 'after'],
  ] as const)('%s is done once', async (_, when) => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    const node = await openNode(database, schema, database.url(schema, relay.port));
    expect(await increment(node)).toBe(1);
    relay.cutNext = when;
    const results = await Promise.all([
      increment(node, 'a'),
      increment(node, 'b'),
      increment(node),
    ]);
    expect(relay.cuts).toBe(1);
    expect(results).toEqual([1, 1, 2]);
    const puts = (await logOf(node)).filter(({ kind }) => kind === 'put');
    expect(puts.map(({ key, version }) => `${key} ${version.toString()}`).sort()).toEqual([
      ...['a 1', 'b 1', 'counter 1', 'counter 2'],
    ]);
    await node.close();
  });
});

describe('a transaction over many unique values', () => {
  it('asks for all of them at once', async () => {
    await using relay = await startCommitRelay(database.port);
    const schema = newSchema();
    const node = await openNode(database, schema, database.url(schema, relay.port));
    const write = (from: number, keys = 'k'): Promise<unknown> =>
      node.transact({ durability: 'async' }, (transaction) => {
        for (let n = 0; n < 300; n++) {
          const body = JSON.stringify({ n: from + n });
          transaction.put({ collection: 'things', key: `${keys}${n.toString()}`, body });
        }
      });
    await write(0);
    await node.createIndex(indexSpec('n', ['n'], true));
    await builtIndex(node, 'n');
    const before = relay.sent;
    await write(150);
    // A watch over the log and a few more; one for each value would be 300.
    expect(relay.sent - before).toBeLessThan(100);
    // Guesses do not count: of two documents one is refused, in one transaction and in another.
    expect(await failureOf(write(300, 'other'))).toMatch(/^UNIQUE_VIOLATION: /);
    expect(await failureOf(write(1000, 'free'))).toBeUndefined();
    await node.close();
  });
});

describe('a transaction that the database turns down', () => {
  it.each(['40001', '40P01'])(
    'with %s is tried again, a bounded number of times',
    async (state) => {
      const schema = newSchema();
      const node = await openNode(database, schema);
      await put(node, 'a');
      const refuse = (times: number): Promise<unknown> =>
        database.run(
          schema,
          'DROP SEQUENCE IF EXISTS refused CASCADE',
          'CREATE SEQUENCE refused',
          `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF nextval('${schema}.refused') <= ${times.toString()} THEN
            RAISE EXCEPTION 'refused' USING ERRCODE = '${state}';
          END IF; RETURN NEW; END $$`,
          'CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON ver FOR EACH ROW EXECUTE FUNCTION refuse()',
        );
      await refuse(3);
      expect(await increment(node)).toBe(1);
      await refuse(1000);
      expect(await failureOf(increment(node))).toMatch(/^TRANSACTION_CONFLICT: /);
      await refuse(0);
      expect(await increment(node)).toBe(2);
      expect((await logOf(node)).map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n, 4n]);
      await node.close();
    },
  );
});

describe('tables', () => {
  it('bring tables of the first format to their own, with all that is there', async () => {
    const schema = newSchema();
    {
      await using before = await openNode(database, schema);
      await put(before, 'a');
    }
    await database.run(
      schema,
      'DROP TABLE lease, budget',
      'ALTER TABLE format DROP COLUMN oldest',
      'ALTER TABLE node DROP COLUMN format',
      'UPDATE format SET version = 1',
    );
    await using node = await openNode(database, schema);
    expect(await node.get('things', ['a'])).toMatchObject([{ version: 1n }]);
    expect(await node.lease('job')).toEqual({ job: 'job', fence: 1 });
    const draw = { key: 'k', limit: 10, windowMs: 60_000, amount: 3 };
    const drawn = await node.budgets?.draw([draw]);
    expect(drawn?.shares).toMatchObject([{ granted: 3 }]);
    expect(await database.run(schema, 'SELECT version FROM format')).toEqual([{ version: 4 }]);
  });

  it('of a newer release are refused, and left as they are', async () => {
    const schema = newSchema();
    const node = await openNode(database, schema);
    await put(node, 'a');
    await node.close();
    await database.run(schema, 'UPDATE format SET version = 99, oldest = 99');
    expect(await failureOf(openNode(database, schema))).toBe(
      'ENGINE_UNAVAILABLE: the tables have format 99, for servers from format 99 on, this release knows up to 4; use the release that made them',
    );
    await database.run(schema, 'UPDATE format SET version = 4, oldest = 3');
    const again = await openNode(database, schema);
    expect((await again.get('things', ['a'])).at(0)?.version).toBe(1n);
    await again.close();
  });
});

type Nodes = readonly [StorageEngine, StorageEngine, ...StorageEngine[]];

async function openNodes(schema: string, count: number): Promise<Nodes> {
  const first = await openNode(database, schema);
  const others = await Promise.all(
    Array.from({ length: count - 1 }, () => openNode(database, schema)),
  );
  return [first, ...others] as unknown as Nodes;
}

async function closeAll(nodes: readonly StorageEngine[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.close()));
}

function claim(node: StorageEngine): Promise<unknown> {
  return node.transact({ durability: 'sync' }, (transaction) => {
    const precondition = { kind: 'exists', exists: false } as const;
    transaction.put({ collection: 'things', key: 'claimed', body: '{}', precondition });
  });
}
