import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';
import { POSITION_CHARS_MAX } from '../../../src/storage/query/position.ts';
import type { Metric, Order, Query, QueryLimits } from '../../../src/storage/query/query.ts';
import { toSequence, type Json } from '../../../src/storage/types.ts';
import {
  bodiesOf,
  collectionOf,
  indexOf,
  keysOf,
  NOW_MS,
  planFor,
  QUERY,
  runAggregation,
  runQuery,
  SELECTION,
  storedDocument,
} from './memory-engine.ts';

const THINGS = collectionOf('things', {
  b: { n: 2, t: 'x' },
  a: { n: 10, t: 'X' },
  d: { t: 'y', n: null },
  c: { n: 2 },
});

const by = (field: string, direction: 'asc' | 'desc' = 'asc'): Order => ({
  ...({ by: 'fields', fields: [{ path: [field], direction }] } as const),
});

function limited(limits: Partial<QueryLimits>, more: Partial<Query> = {}): Query {
  return { ...QUERY, ...more, limits: { ...QUERY.limits, ...limits } };
}

function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('order', () => {
  it('sorts by type, null first and missing last, ties by key', () => {
    const mixed = collectionOf('things', {
      ...{ k1: { f: {} }, k2: { f: [] }, k3: { f: 'a' }, k4: { f: 'B' }, k5: { f: -1 } },
      ...{ k6: { f: true }, k7: { f: false }, k8: { f: null }, k9: {}, k0: { f: 'a' } },
    });
    const ascending = ['k8', 'k7', 'k6', 'k5', 'k4', 'k0', 'k3', 'k2', 'k1', 'k9'];
    expect(keysOf(runQuery(mixed, { ...QUERY, order: by('f') }))).toEqual(ascending);
    const descending = ['k9', 'k1', 'k2', 'k0', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8'];
    expect(keysOf(runQuery(mixed, { ...QUERY, order: by('f', 'desc') }))).toEqual(descending);
  });

  it('goes by key, by insertion or by the keys asked', () => {
    const order = (wanted: Order, keys?: readonly string[]) =>
      keysOf(runQuery(THINGS, { ...QUERY, order: wanted, keys }));
    expect(order({ by: 'key', direction: 'desc' })).toEqual(['d', 'c', 'b', 'a']);
    expect(order({ by: 'insertion', direction: 'asc' })).toEqual(['b', 'a', 'd', 'c']);
    expect(order({ by: 'asked' }, ['d', 'x', 'a', 'd'])).toEqual(['d', 'a']);
    expect(order({ by: 'asked' })).toEqual(['a', 'b', 'c', 'd']);
  });

  it('comes from an index when no text stands in the way', () => {
    const indexes = [indexOf('byN', [{ path: 'n', direction: 'asc' }])];
    const query = { ...QUERY, order: by('n', 'desc'), limit: 2 };
    const plan = planFor(THINGS, query, { indexes });
    expect(plan).toMatchObject({ arrival: 'total', access: { kind: 'index', reverse: true } });
    expect(runQuery(THINGS, query, { indexes }).cost.examined).toBe(3);
    const withText = [...THINGS, storedDocument('e', { n: 'text' })];
    expect(planFor(withText, query, { indexes }).access.kind).toBe('scan');
  });

  it('follows an equality with the next field of the index, case aside', () => {
    const fields = [
      { path: 't', direction: 'asc' },
      { path: 'n', direction: 'desc' },
    ] as const;
    const filter = { kind: 'compare', path: ['t'], op: 'eq', value: 'x' } as const;
    const query = { ...QUERY, filter, order: by('n', 'desc') };
    const options = { indexes: [indexOf('tn', fields)] };
    expect(planFor(THINGS, query, options)).toMatchObject({ arrival: 'total', fieldsUsed: 1 });
    expect(keysOf(runQuery(THINGS, query, options))).toEqual(['a', 'b']);
  });
});

describe('pages', () => {
  it('end early once their bodies pass the bound, and go on behind', () => {
    const query = limited({ pageBytesMax: 20 });
    const first = runQuery(THINGS, query);
    expect(keysOf(first)).toEqual(['a', 'b']);
    expect(keysOf(runQuery(THINGS, { ...query, after: first.next }))).toEqual(['c', 'd']);
    expect(keysOf(runQuery(THINGS, limited({ pageBytesMax: 1 })))).toEqual(['a']);
  });

  it('go on at their place when the last row is gone', () => {
    const first = runQuery(THINGS, { ...QUERY, order: by('n'), limit: 2 });
    expect(keysOf(first)).toEqual(['d', 'b']);
    const left = THINGS.filter(({ key }) => key !== 'b');
    const query = { ...QUERY, order: by('n'), after: first.next };
    expect(keysOf(runQuery(left, query))).toEqual(['c', 'a']);
  });

  it('count every match when asked, also on later pages', () => {
    const first = runQuery(THINGS, { ...QUERY, limit: 3, total: true });
    expect(first.total).toBe(4);
    const second = runQuery(THINGS, { ...QUERY, limit: 3, total: true, after: first.next });
    expect([second.total, keysOf(second), second.next]).toEqual([4, ['d'], undefined]);
    expect(runQuery(THINGS, QUERY).total).toBeUndefined();
  });

  it('have no next page after exactly the last row', () => {
    expect(runQuery(THINGS, { ...QUERY, limit: 4 }).next).toBeUndefined();
    expect(runQuery(THINGS, { ...QUERY, limit: 3 }).next).toBeDefined();
  });

  it('stop pulling as soon as the page is full', () => {
    expect(runQuery(THINGS, { ...QUERY, limit: 2 }).cost).toMatchObject({
      examined: 3,
      returned: 2,
    });
  });

  it('have positions that fit a token, whatever is sorted by', () => {
    const long = '\u0001'.repeat(5000);
    const names = Array.from({ length: 16 }, (_, at) => `f${String(at)}`);
    const body = Object.fromEntries(names.map((name) => [name, long]));
    const fields = names.map((name) => ({ path: [name], direction: 'asc' }) as const);
    const documents = [storedDocument('a'.repeat(256), body), storedDocument('b', body)];
    const query: Query = { ...QUERY, order: { by: 'fields', fields }, limit: 1 };
    const first = runQuery(documents, query);
    expect(first.next?.length).toBeLessThan(POSITION_CHARS_MAX);
    expect(keysOf(runQuery(documents, { ...query, after: first.next }))).toEqual(['b']);
  });

  it('refuse a position that is none or of another order', () => {
    const next = runQuery(THINGS, { ...QUERY, limit: 1 }).next ?? '';
    const read = (after: string, order: Order) =>
      errorOf(() => runQuery(THINGS, { ...QUERY, order, after }));
    const isRefused = (error: unknown) => hasReason(error, 'PAGE_TOKEN_INVALID');
    expect(isRefused(read(next, by('n')))).toBe(true);
    expect(isRefused(read('', { by: 'key', direction: 'asc' }))).toBe(true);
    expect(isRefused(read('x'.repeat(8001), { by: 'key', direction: 'asc' }))).toBe(true);
    fc.assert(
      fc.property(fc.base64String({ maxLength: 40 }), (text) => {
        const error = read(text, by('n'));
        expect(error === undefined || isRefused(error)).toBe(true);
      }),
    );
  });
});

describe('reach', () => {
  it('hides keys outside the access before any count or limit', () => {
    const access = { kind: 'some', keys: ['a'], prefixes: ['c', 'd'] } as const;
    const page = runQuery(THINGS, { ...QUERY, access, limit: 1, total: true });
    expect([keysOf(page), page.total]).toEqual([['a'], 3]);
    const nothing = { kind: 'some', keys: [], prefixes: [] } as const;
    expect(runQuery(THINGS, { ...QUERY, access: nothing }).cost.examined).toBe(0);
    const keys = ['a', 'b', 'c'];
    expect(keysOf(runQuery(THINGS, { ...QUERY, access, keys }))).toEqual(['a', 'c']);
  });

  it('treats expired documents as gone, also in joins', () => {
    const expired = storedDocument('e', { n: 1 }, { expiresAtMs: NOW_MS });
    const living = storedDocument('f', { n: 1, ref: 'e' }, { expiresAtMs: NOW_MS + 1 });
    const join = { alias: 'j', from: 'things', on: ['ref'], fields: undefined, systemFields: true };
    const query = { ...QUERY, joins: [{ ...join, access: { kind: 'all' } as const }] };
    const page = runQuery([expired, living], query, { others: [expired, living] });
    expect(bodiesOf(page)).toEqual([{ n: 1, ref: 'e' }]);
  });
});

describe('bounds', () => {
  const boundOf = (error: unknown) =>
    hasReason(error, 'QUERY_LIMIT_EXCEEDED') ? error.metadata['bound'] : error;

  it('hold at n and fail at n + 1', () => {
    const order = by('n');
    expect(runQuery(THINGS, limited({ examinedMax: 4 })).documents.length).toBe(4);
    expect(boundOf(errorOf(() => runQuery(THINGS, limited({ examinedMax: 3 }))))).toBe(
      'examinedMax',
    );
    expect(runQuery(THINGS, limited({ sortedMax: 4 }, { order })).documents.length).toBe(4);
    const sorted = () => runQuery(THINGS, limited({ sortedMax: 3 }, { order }));
    expect(boundOf(errorOf(sorted))).toBe('sortedMax');
    const bytes = THINGS.reduce((sum, { body }) => sum + body.length, 0);
    const held = (memoryBytesMax: number) =>
      runQuery(THINGS, limited({ memoryBytesMax }, { order }));
    expect(held(bytes).documents.length).toBe(4);
    expect(boundOf(errorOf(() => held(bytes - 1)))).toBe('memoryBytesMax');
    const page = { order, limit: 2 };
    // What falls out of the page is let go of.
    const largest = Math.max(...THINGS.map(({ body }) => body.length));
    const few = { sortedMax: 3, memoryBytesMax: 3 * largest };
    expect(keysOf(runQuery(THINGS, limited(few, page)))).toEqual(['d', 'b']);
    expect(keysOf(runQuery(THINGS, limited({ sortedMax: 3 }, page)))).toEqual(['d', 'b']);
  });

  it('end a run that takes too long or is aborted', () => {
    const late = () => runQuery(THINGS, QUERY, { shouldStop: () => 'timeout' });
    expect(boundOf(errorOf(late))).toBe('timeMs');
    const aborted = errorOf(() => runQuery(THINGS, QUERY, { shouldStop: () => 'aborted' }));
    expect(hasReason(aborted, 'CANCELED')).toBe(true);
  });

  it('are looked at again every 256 documents', () => {
    const many = Array.from({ length: 600 }, (_, at) => storedDocument(`k${String(at)}`, {}));
    let looks = 0;
    runQuery(many, QUERY, { shouldStop: () => (looks++, undefined) });
    expect(looks).toBe(3);
  });

  it('name a stored body that is not JSON as corruption', () => {
    const broken = { ...storedDocument('k', {}), body: '{' };
    const filter = { kind: 'isNull', path: ['a'] } as const;
    const error = errorOf(() => runQuery([broken], { ...QUERY, filter }));
    expect(hasReason(error, 'CORRUPTION_DETECTED')).toBe(true);
  });
});

describe('aggregation', () => {
  const metric = (kind: Metric['kind'], path: string): Metric => ({
    name: kind,
    kind,
    path: [path],
  });
  const aggregate = (bodies: readonly Json[], metrics: readonly Metric[], groupBy: string[] = []) =>
    runAggregation(
      bodies.map((body, at) =>
        storedDocument(`k${String(at)}`, body, { createdSequence: toSequence(at + 1) }),
      ),
      { ...SELECTION, metrics, groupBy: groupBy.map((path) => [path]), groupsMax: 4 },
    ).groups;

  it('computes figures over numbers, values and documents', () => {
    const kinds = ['count', 'sum', 'avg', 'min', 'max', 'distinct'] as const;
    const bodies = [{ v: 2 }, { v: 'x' }, { v: null }, {}, { v: 4 }, { v: 2 }];
    expect(
      aggregate(
        bodies,
        kinds.map((kind) => metric(kind, 'v')),
      ),
    ).toEqual([
      {
        values: [],
        figures: { count: 4, sum: 8, avg: 8 / 3, min: 2, max: 'x', distinct: [null, 2, 4, 'x'] },
      },
    ]);
  });

  it('has figures of nothing', () => {
    const all = (['count', 'sum', 'avg', 'min', 'max', 'distinct'] as const).map((kind) =>
      metric(kind, 'v'),
    );
    const figures = { count: 0, sum: 0, avg: null, min: null, max: null, distinct: [] };
    expect(aggregate([], all)).toEqual([{ values: [], figures }]);
    expect(aggregate([], all, ['g'])).toEqual([]);
  });

  it('groups by exact values in type order, missing as null', () => {
    const bodies = [{ g: 'a' }, { g: 'A' }, {}, { g: null }, { g: 'a' }];
    const groups = aggregate(bodies, [{ name: 'n', kind: 'count', path: undefined }], ['g']);
    expect(groups.map(({ values, figures }) => [values[0], figures['n']])).toEqual([
      [null, 2],
      ['A', 1],
      ['a', 2],
    ]);
  });

  it('sums with compensation, and has no infinity', () => {
    const sum = (values: readonly number[]) =>
      aggregate(
        values.map((v) => ({ v })),
        [metric('sum', 'v')],
      )[0]?.figures['sum'];
    expect(sum([1, 1e100, 1, -1e100])).toBe(2);
    expect(sum(Array<number>(10).fill(0.1))).toBe(1);
    expect(sum([1.7e308, 1.7e308])).toBeNull();
  });

  it('refuses more groups or distinct values than asked for', () => {
    const bodies = [1, 2, 3, 4, 5].map((v) => ({ v }));
    const isRefused = (run: () => unknown) => hasReason(errorOf(run), 'QUERY_LIMIT_EXCEEDED');
    expect(aggregate(bodies.slice(1), [metric('distinct', 'v')], ['v']).length).toBe(4);
    expect(isRefused(() => aggregate(bodies, [metric('distinct', 'v')]))).toBe(true);
    expect(isRefused(() => aggregate(bodies, [metric('count', 'v')], ['v']))).toBe(true);
  });
});
