/** Indexes that several nodes build, while all of them write. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { StorageEngine } from '../../../src/storage/engine.ts';
import {
  builtIndex,
  field,
  indexSpec,
  keysOf,
  put,
  QUERY,
  remove,
} from '../../contract/support.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { newSchema, openNode } from './scene.ts';

const DOCUMENTS = 3000;
const VALUES = 20;

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function fill(node: StorageEngine): Promise<void> {
  await node.transact({ durability: 'async' }, (transaction) => {
    for (let at = 0; at < DOCUMENTS; at++) {
      const body = JSON.stringify({ n: at % VALUES, m: at % 7 });
      transaction.put({ collection: 'things', key: keyOf(at), body });
    }
  });
}

function keyOf(at: number): string {
  return `k${String(at).padStart(5, '0')}`;
}

/** Changes, makes and deletes documents all over the collection, as long as it is told to. */
async function write(node: StorageEngine, by: number, goesOn: () => boolean): Promise<void> {
  for (let n = by; goesOn(); n += 2) {
    const at = (n * 379) % DOCUMENTS;
    await put(node, keyOf(at), { n: (at + 1) % VALUES, m: n % 7 });
    await put(node, `new${String(n)}`, { n: n % VALUES, m: 1 });
    await remove(node, keyOf((at + 190) % DOCUMENTS));
  }
}

/** What an index finds, by the value of its field, and what is there. */
async function compare(node: StorageEngine, path: 'n' | 'm'): Promise<void> {
  const { documents } = await node.query(QUERY);
  const valueOf = (body: string): number => (JSON.parse(body) as Record<typeof path, number>)[path];
  for (let value = 0; value < VALUES; value++) {
    const filter = field(path, 'eq', value);
    expect(await node.explain({ ...QUERY, filter })).toMatchObject({ access: 'index' });
    const there = documents.filter(({ body }) => valueOf(body) === value).map(({ key }) => key);
    expect(await keysOf(node, { filter })).toEqual(there);
  }
}

/** Entries in all, of each index. */
async function entriesOf(schema: string): Promise<readonly unknown[]> {
  const text = `SELECT i.name, count(*)::integer AS entries
    FROM entry e JOIN idx i ON i.id = e.idx GROUP BY i.name ORDER BY i.name`;
  return await database.run(schema, text);
}

describe('indexes that are built while several nodes write', () => {
  it.each([
    ['one node declares one', [['n'], []]],
    ['two nodes declare one each', [['n'], ['m']]],
  ] as const)('are complete when %s', async (_, declared) => {
    const schema = newSchema();
    await using one = await openNode(database, schema);
    await using other = await openNode(database, schema);
    const nodes = [one, other];
    await fill(one);
    let isDone = false;
    const writing = nodes.map((node, by) => write(node, by, () => !isDone));
    const names = declared.flat();
    await Promise.all(
      nodes.flatMap((node, at) =>
        (declared[at] ?? []).map((name) => node.createIndex(indexSpec(name, [name]))),
      ),
    );
    for (const name of names) {
      const built = await Promise.all(nodes.map((node) => builtIndex(node, name)));
      for (const index of built) expect(index).toMatchObject({ state: 'ready', failure: '' });
    }
    isDone = true;
    await Promise.all(writing);
    for (const node of nodes) for (const name of names) await compare(node, name);
    // Nothing is left of what was replaced or deleted meanwhile.
    const { documents } = (await one.findCollection('things')) ?? { documents: 0 };
    expect(await entriesOf(schema)).toEqual(
      names.toSorted().map((name) => ({ name, entries: documents })),
    );
  });
});
