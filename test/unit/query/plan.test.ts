import { describe, expect, it } from 'vitest';

import { parseWhere } from '../../../src/domain/query/where.ts';
import type { Order, Query } from '../../../src/storage/query/query.ts';
import type { IndexField, Json } from '../../../src/storage/types.ts';
import { collectionOf, indexOf, keysOf, planFor, QUERY, runQuery } from './memory-engine.ts';

const fieldsOf = (names: readonly string[]): readonly IndexField[] =>
  names.map((path) => ({ path, direction: 'asc' }));

const sortBy = (name: string): Order => ({
  ...({ by: 'fields', fields: [{ path: [name], direction: 'asc' }] } as const),
});

const ask = (where: Json, more: Partial<Query> = {}): Query => ({
  ...{ ...QUERY, filter: parseWhere(where) },
  ...more,
});

/** All keys, read page by page. */
function paged(documents: Parameters<typeof runQuery>[0], query: Query, names: readonly string[]) {
  const options = { indexes: [indexOf('i', fieldsOf(names))] };
  const keys: string[] = [];
  let after: string | undefined;
  do {
    const page = runQuery(documents, { ...query, after }, options);
    keys.push(...keysOf(page));
    after = page.next;
  } while (after !== undefined && keys.length < 100);
  return keys;
}

describe('ties in an index', () => {
  const tied = collectionOf('things', {
    ...{ d: { n: 1, t: 1 }, c: { n: 1, t: 2 }, b: { n: 1, t: 3 }, a: { n: 1, t: 4 } },
    ...{ e: { n: 0, t: 9 }, f: { n: 2, t: 0 } },
  });
  const query = { ...QUERY, order: sortBy('n'), limit: 1 };

  it('come by key although the index goes on with another field', () => {
    const options = { indexes: [indexOf('i', fieldsOf(['n', 't']))] };
    expect(planFor(tied, query, options)).toMatchObject({ arrival: 'byFields', arrivalFields: 1 });
    expect(paged(tied, query, ['n', 't'])).toEqual(['e', 'a', 'b', 'c', 'd', 'f']);
  });

  it('are all delivered when a page ends among them', () => {
    expect(paged(tied, query, ['n'])).toEqual(['e', 'a', 'b', 'c', 'd', 'f']);
  });
});

describe('a list on a leading field', () => {
  const documents = collectionOf('things', {
    ...{ x: { a: 1, b: 1, n: 9 }, y: { a: 2, b: 1, n: 1 }, z: { a: 1, b: 2, n: 0 } },
  });

  it('bounds the walk but does not deliver the order of what follows', () => {
    const query = ask({ a: { $in: [1, 2] }, b: 1 }, { order: sortBy('n'), limit: 1 });
    const plan = planFor(documents, query, { indexes: [indexOf('i', fieldsOf(['a', 'b', 'n']))] });
    expect(plan).toMatchObject({ arrival: 'unordered', fieldsUsed: 2 });
    expect(plan.access).toMatchObject({ kind: 'index', ranges: [{}, {}] });
    expect(paged(documents, query, ['a', 'b', 'n'])).toEqual(['y', 'x']);
  });

  it('of more than 100 points becomes one range', () => {
    const values = (count: number) => Array.from({ length: count }, (_, at) => at);
    const options = { indexes: [indexOf('i', fieldsOf(['a']))] };
    const ranges = (count: number) => {
      const { access } = planFor(documents, ask({ a: { $in: values(count) } }), options);
      return access.kind === 'index' ? access.ranges.length : 0;
    };
    expect(ranges(100)).toBe(100);
    expect(ranges(101)).toBe(1);
  });

  it('of nothing walks nothing', () => {
    const query = ask({ a: { $in: [] } });
    const options = { indexes: [indexOf('i', fieldsOf(['a']))] };
    expect(runQuery(documents, query, options).cost.examined).toBe(0);
  });
});

describe('the choice of an index', () => {
  const documents = collectionOf('things', { x: { a: 1, b: 1 }, y: { a: 1, b: 2 } });
  const indexes = [
    indexOf('byA', fieldsOf(['a'])),
    indexOf('byAB', fieldsOf(['a', 'b'])),
    indexOf('late', fieldsOf(['a', 'b', 'c']), { state: 'building' }),
  ];
  const chosen = (where: Json, more: Partial<Query> = {}) => {
    const { access } = planFor(documents, ask(where, more), { indexes });
    return access.kind === 'index' ? access.index : access.kind;
  };

  it('takes the one that bounds most, and only ready ones', () => {
    expect(chosen({ a: 1 })).toBe('byA');
    expect(chosen({ a: 1, b: 2 })).toBe('byAB');
    expect(chosen({ a: 1, b: { $gt: 1 } }, { total: true })).toBe('byAB');
    expect(chosen({ $or: [{ a: 1 }, { a: 2, b: 1 }] })).toBe('byA');
  });

  it('scans where no index helps', () => {
    expect(chosen({ b: 1 })).toBe('scan');
    expect(chosen({ a: { $ne: 1 } })).toBe('scan');
    expect(chosen({ $or: [{ a: 1 }, { b: 1 }] })).toBe('scan');
    expect(chosen({ $not: { a: 1 } })).toBe('scan');
  });

  it('prefers the keys named', () => {
    expect(chosen({ a: 1 }, { keys: ['x'] })).toBe('keys');
  });

  it('does not use an index for what a join finds', () => {
    const join = { alias: 'a', from: 'things', on: ['r'], fields: undefined, systemFields: false };
    expect(chosen({ a: 1 }, { joins: [{ ...join, access: { kind: 'all' } }] })).toBe('scan');
  });
});

describe('a scan of several ranges of keys', () => {
  const bodies = ['a1', 'a2', 'b1', 'c1', 'c2', 'd'].map((key): [string, Json] => [key, {}]);
  const documents = collectionOf('things', Object.fromEntries(bodies));
  const access = { kind: 'some', keys: ['d', 'a1'], prefixes: ['a', 'c'] } as const;

  it.each(['asc', 'desc'] as const)('meets each key once on every page, %s', (direction) => {
    const query = { ...QUERY, access, limit: 1, order: { by: 'key', direction } as const };
    const expected = ['a1', 'a2', 'c1', 'c2', 'd'];
    expect(paged(documents, query, [])).toEqual(
      direction === 'asc' ? expected : expected.toReversed(),
    );
  });

  it('meets each key once behind a place in an earlier range', () => {
    const first = runQuery(documents, { ...QUERY, access, limit: 1 });
    const rest = { ...QUERY, access, after: first.next };
    expect(keysOf(runQuery(documents, rest))).toEqual(['a2', 'c1', 'c2', 'd']);
  });
});
