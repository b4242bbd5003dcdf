import { describe, expect, it } from 'vitest';

import type { StorageEngine } from '../../src/storage/engine.ts';
import type { Order, Query } from '../../src/storage/query/query.ts';
import { ALL_KEYS } from '../../src/storage/types.ts';
import type { ContractSubject } from './storage-contract.ts';
import {
  builtIndex,
  field,
  indexSpec,
  keysOf,
  openStore,
  put,
  putWith,
  QUERY,
  reasonOf,
  SELECTION,
} from './support.ts';

const LETTERS = ['e', 'a', 'd', 'b', 'c'];

/** Five documents, inserted in the order of LETTERS, `n` counting up, `half` in pairs. */
async function fill(engine: StorageEngine): Promise<void> {
  for (const [at, key] of LETTERS.entries()) {
    await put(engine, key, { n: at, half: Math.floor(at / 2), owner: at % 2 === 0 ? 'x' : 'y' });
  }
}

/** All keys of a query, fetched page by page. */
async function paged(engine: StorageEngine, query: Partial<Query>): Promise<readonly string[]> {
  const keys: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...QUERY, ...query, limit: 2, after });
    keys.push(...page.documents.map(({ key }) => key));
    if (page.next === undefined) return keys;
    after = page.next;
  }
}

/** Queries, aggregations and their bounds; what matches is decided by the shared evaluator. */
export function describeQueries(subject: ContractSubject): void {
  describe('queries', () => {
    it.each<[string, Order, readonly string[]]>([
      ['by key', { by: 'key', direction: 'asc' }, ['a', 'b', 'c', 'd', 'e']],
      ['by key backwards', { by: 'key', direction: 'desc' }, ['e', 'd', 'c', 'b', 'a']],
      ['by insertion', { by: 'insertion', direction: 'asc' }, LETTERS],
      ['by insertion backwards', { by: 'insertion', direction: 'desc' }, LETTERS.toReversed()],
      [
        'by a field, ties by key',
        { by: 'fields', fields: [{ path: ['half'], direction: 'desc' }] },
        ['c', 'b', 'd', 'a', 'e'],
      ],
    ])('orders and pages %s, without and with an index', async (_, order, expected) => {
      await using store = await openStore(subject);
      const { engine } = store;
      await fill(engine);
      expect(await keysOf(engine, { order })).toEqual(expected);
      expect(await paged(engine, { order })).toEqual(expected);
      await engine.createIndex(indexSpec('half', ['half']));
      await builtIndex(engine, 'half');
      expect(await keysOf(engine, { order })).toEqual(expected);
      expect(await paged(engine, { order })).toEqual(expected);
    });

    it('keeps insertion order over updates', async () => {
      await using store = await openStore(subject);
      await fill(store.engine);
      await put(store.engine, 'a', { changed: true });
      const order: Order = { by: 'insertion', direction: 'asc' };
      expect(await keysOf(store.engine, { order })).toEqual(LETTERS);
    });

    it('shows only the keys that access grants, before limits, counts and pages', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await fill(engine);
      await put(engine, 'ab', { n: 9 });
      const access = { kind: 'some', keys: ['c', 'e'], prefixes: ['a'] } as const;
      const page = await engine.query({ ...QUERY, access, limit: 2, total: true });
      expect(page.documents.map(({ key }) => key)).toEqual(['a', 'ab']);
      expect(page.total).toBe(4);
      expect(await paged(engine, { access })).toEqual(['a', 'ab', 'c', 'e']);
      const nothing = { kind: 'some', keys: [], prefixes: [] } as const;
      expect(await keysOf(engine, { access: nothing })).toEqual([]);
    });

    it('joins documents of the same state, within what access grants', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await fill(engine);
      await putWith(engine, { key: 'x', body: { name: 'Xenia' }, collection: 'owners' });
      const join = {
        ...{ alias: 'who', from: 'owners', on: ['owner'], fields: undefined },
        ...{ access: ALL_KEYS, systemFields: false },
      };
      const [first] = (await engine.query({ ...QUERY, joins: [join] })).documents;
      const [second] = (await engine.query({ ...QUERY, joins: [join], limit: 5 })).documents.slice(
        2,
      );
      expect(JSON.parse(first?.body ?? '')).toEqual({ n: 1, half: 0, owner: 'y' });
      expect(JSON.parse(second?.body ?? '')).toMatchObject({ who: { name: 'Xenia' } });
    });

    it('groups and counts in one state', async () => {
      await using store = await openStore(subject);
      await fill(store.engine);
      const result = await store.engine.aggregate({
        ...SELECTION,
        groupBy: [['owner']],
        metrics: [
          { name: 'count', kind: 'count', path: undefined },
          { name: 'sum', kind: 'sum', path: ['n'] },
        ],
        groupsMax: 10,
      });
      expect(result.groups).toEqual([
        { values: ['x'], figures: { count: 3, sum: 6 } },
        { values: ['y'], figures: { count: 2, sum: 4 } },
      ]);
    });

    it('answers for a collection that does not exist as for an empty one', async () => {
      await using store = await openStore(subject);
      const page = await store.engine.query({ ...QUERY, collection: 'nowhere', total: true });
      expect(page).toMatchObject({ documents: [], total: 0, next: undefined });
    });

    it.each([
      ['examinedMax', { examinedMax: 3 }],
      ['sortedMax', { sortedMax: 2 }],
    ])('ends past %s with the bound named', async (bound, limit) => {
      await using store = await openStore(subject);
      await fill(store.engine);
      const order: Order = { by: 'fields', fields: [{ path: ['n'], direction: 'asc' }] };
      const query = { ...QUERY, order, limits: { ...QUERY.limits, ...limit } };
      await expect(store.engine.query(query)).rejects.toMatchObject({
        reason: 'QUERY_LIMIT_EXCEEDED',
        metadata: { bound },
      });
    });

    it('ends when its signal aborts, before and during the walk', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await engine.transact({ durability: 'async' }, (transaction) => {
        for (let at = 0; at < 20_000; at++) {
          transaction.put({ collection: 'things', key: `k${at.toString()}`, body: '{"n":1}' });
        }
      });
      const aborted = AbortSignal.abort();
      expect(await reasonOf(engine.query(QUERY, { signal: aborted }))).toBe('CANCELED');
      const controller = new AbortController();
      const walks = Array.from({ length: 6 }, () =>
        reasonOf(
          engine.query({ ...QUERY, filter: field('n', 'eq', 2) }, { signal: controller.signal }),
        ),
      );
      controller.abort();
      expect(new Set(await Promise.all(walks))).toEqual(new Set(['CANCELED']));
      expect(await keysOf(engine, { limit: 1 })).toEqual(['k0']);
    });
  });
}
