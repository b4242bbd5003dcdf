import { describe, expect, it } from 'vitest';

import { parseQuery, type QueryArguments } from '../../../src/domain/query/parse-query.ts';
import type { Aggregation, Query } from '../../../src/storage/query/query.ts';
import { ALL_KEYS, type Json } from '../../../src/storage/types.ts';
import { LAPTOPS, PARTS } from './laptops.ts';
import { bodiesOf, keysOf, QUERY, runAggregation, runQuery, SELECTION } from './memory-engine.ts';

function query(asked: QueryArguments): Query {
  const { joins, ...parsed } = parseQuery(asked);
  return {
    ...QUERY,
    ...parsed,
    collection: 'laptops',
    joins: joins.map((join) => ({ ...join, access: ALL_KEYS, systemFields: false })),
  };
}

function find(asked: QueryArguments) {
  return runQuery(LAPTOPS, query(asked), { others: PARTS });
}

describe('filters over laptops', () => {
  const cases: readonly (readonly [string, Json, readonly string[]])[] = [
    ['equality ignores case', { brand: 'apple' }, ['lp2']],
    ['two bounds', { price: { $gt: 1000, $lt: 2000 } }, ['lp1', 'lp3', 'lp4']],
    ['a nested number', { 'specs.cpu.cores': { $gte: 12 } }, ['lp1', 'lp2', 'lp4', 'lp5']],
    ['a nested inequality', { 'specs.cpu.brand': { $ne: 'Intel' } }, ['lp2', 'lp3']],
    ['a part of a text', { model: { $contains: 'Pro' } }, ['lp2']],
    ['an element', { tags: { $contains: 'gaming' } }, ['lp3', 'lp5']],
    ['a list', { brand: { $in: ['Apple', 'Dell', 'Razer'] } }, ['lp2', 'lp4', 'lp5']],
    ['not in a list', { brand: { $nin: ['Framework'] } }, ['lp1', 'lp2', 'lp3', 'lp4', 'lp5']],
    ['several fields', { in_stock: true, tags: { $ct: 'gaming' }, price: { $lt: 2000 } }, ['lp3']],
  ];
  it.each(cases)('finds by %s', (_name, where, expected) => {
    expect(keysOf(find({ where }))).toEqual(expected);
  });
});

describe('order and pages over laptops', () => {
  const prices = (asked: QueryArguments) =>
    bodiesOf(find(asked)).map((body) => (body as { readonly price: number }).price);

  it('sorts by a number both ways', () => {
    const ascending = [849, 1499, 1699, 1899, 2499, 3499];
    expect(prices({ sort: ['price'] })).toEqual(ascending);
    expect(prices({ sort: [{ field: 'price', order: 'DESC' }] })).toEqual(ascending.toReversed());
  });

  it('breaks ties by the next field and then by key', () => {
    const sort = [{ field: 'specs.cpu.cores', order: 'desc' }, 'price'];
    expect(keysOf(find({ sort }))).toEqual(['lp4', 'lp5', 'lp1', 'lp2', 'lp6', 'lp3']);
    expect(keysOf(find({ sort: [{ field: 'specs.cpu.cores', order: 'desc' }] }))).toEqual([
      ...['lp4', 'lp5', 'lp1', 'lp2', 'lp6', 'lp3'],
    ]);
    expect(keysOf(find({ sort: ['brand', 'price'] }))[0]).toBe('lp2');
  });

  it('skips and limits after filter and sort', () => {
    expect(prices({ sort: ['price'], count: 3 })[0]).toBe(849);
    expect(prices({ sort: ['price'], offset: 2, count: 2 })).toEqual([1699, 1899]);
    expect(prices({ sort: ['price'], where: { price: { $gt: 2000 } } })).toEqual([2499, 3499]);
  });
});

describe('joins over laptops', () => {
  const screen = { screen: { from: 'display', on: 'display_id', fields: ['refresh_hz', 'panel'] } };
  const ram = { alias: 'ram', from: 'memory', on: 'memory_id' };

  it('embeds what it found, projected', () => {
    const [first] = bodiesOf(find({ joins: [screen, ram], where: { brand: 'Asus' } }));
    expect(first).toMatchObject({
      screen: { refresh_hz: 165, panel: 'IPS' },
      ram: { capacity_gb: 32, upgradeable: true },
    });
  });

  it('filters and sorts by what it found', () => {
    const panels = { 'screen.panel': { $in: ['OLED', 'Mini-LED'] } };
    expect(keysOf(find({ joins: [screen], where: panels }))).toEqual(['lp1', 'lp2', 'lp4']);
    expect(keysOf(find({ joins: [ram], where: { 'ram.upgradeable': true } }))).toEqual([
      ...['lp3', 'lp4', 'lp5'],
    ]);
    const sort = [{ field: 'screen.refresh_hz', order: 'desc' }];
    expect(keysOf(find({ joins: [screen], sort }))[0]).toBe('lp3');
  });

  it('leaves the alias out where there is nothing to embed', () => {
    const nowhere = { other: { from: 'nowhere', on: 'display_id' } };
    const [first] = bodiesOf(find({ joins: [nowhere], where: { brand: 'Asus' } }));
    expect(first).not.toHaveProperty('other');
  });

  it('embeds only keys the caller may see', () => {
    const join = { ...query({ joins: [ram] }).joins[0] };
    const access = { kind: 'some', keys: ['mem3'], prefixes: [] } as const;
    const [narrow] = [{ ...QUERY.joins[0], ...join, access }] as Query['joins'];
    const page = runQuery(
      LAPTOPS,
      { ...query({}), joins: narrow ? [narrow] : [] },
      { others: PARTS },
    );
    const withRam = page.documents.filter(({ body }) => body.includes('"ram"'));
    expect(withRam.map(({ key }) => key)).toEqual(['lp3', 'lp4']);
  });
});

describe('figures over laptops', () => {
  const figures = (where: Json, metrics: Aggregation['metrics']) =>
    runAggregation(LAPTOPS, {
      ...SELECTION,
      ...{ filter: parseQuery({ where }).filter, groupBy: [], metrics, groupsMax: 10 },
    }).groups[0]?.figures;

  it('counts, sums, averages and finds extremes', () => {
    const price = { path: ['price'] } as const;
    const all = figures({}, [
      { name: 'count', kind: 'count', path: undefined },
      { name: 'sum', kind: 'sum', ...price },
      { name: 'avg', kind: 'avg', ...price },
      { name: 'min', kind: 'min', ...price },
      { name: 'max', kind: 'max', ...price },
    ]);
    expect(all).toMatchObject({ count: 6, sum: 11944, min: 849, max: 3499 });
    expect(all?.['avg']).toBeCloseTo(1990.67, 2);
    const stocked = figures({ in_stock: true }, [{ name: 'n', kind: 'count', path: undefined }]);
    expect(stocked).toEqual({ n: 5 });
  });
});
