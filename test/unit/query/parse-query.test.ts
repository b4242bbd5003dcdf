import { describe, expect, it } from 'vitest';

import { parseFigures } from '../../../src/domain/query/aggregation.ts';
import { parseExtends, parseJoins } from '../../../src/domain/query/join.ts';
import { parseQuery, type QueryArguments } from '../../../src/domain/query/parse-query.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof DomainError) return `${error.reason}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

const refused = (query: QueryArguments) => refusal(() => parseQuery(query));
const times = <T>(count: number, item: T) => Array<T>(count).fill(item);

describe('the arguments of a query', () => {
  it('have defaults', () => {
    expect(parseQuery({})).toEqual({
      filter: { kind: 'and', clauses: [] },
      order: { by: 'key', direction: 'asc' },
      projection: undefined,
      joins: [],
      limit: 100,
      offset: 0,
    });
  });

  it('read sort in both spellings, and order as insertion order', () => {
    expect(parseQuery({ sort: ['a.b', { field: 'c', order: 'Desc' }] }).order).toEqual({
      by: 'fields',
      fields: [
        { path: ['a', 'b'], direction: 'asc' },
        { path: ['c'], direction: 'desc' },
      ],
    });
    expect(parseQuery({ order: 'desc' }).order).toEqual({ by: 'insertion', direction: 'desc' });
  });

  const REFUSED: readonly (readonly [QueryArguments, RegExp])[] = [
    [{ sort: ['a'], order: 'asc' }, /order and 'sort' cannot be used together/],
    [{ order: 'up' }, /order is the text "up"; wants "asc" or "desc"/],
    [{ sort: 'a' }, /sort is the text "a"; wants a list of 0 to 16 items/],
    [{ sort: times(17, 'a') }, /sort is a list of 17; wants a list of 0 to 16/],
    [{ sort: [{ field: 'a', direction: 'asc' }] }, /sort\[0\]\.direction is an unknown property/],
    [{ sort: [{ feild: 'a' }] }, /did you mean field\?/],
    [{ sort: [{ field: 'a', order: 1 }] }, /sort\[0\]\.order is the number 1/],
    [{ sort: [''] }, /sort\[0\] is an empty path/],
    [{ fields: ['a'], excludedFields: ['b'] }, /fields and 'excludedFields' cannot/],
    [{ fields: [1] }, /fields\[0\] is the number 1; wants a dotted path/],
    [{ fields: times(257, 'a') }, /fields is a list of 257/],
    [{ count: 0 }, /count is the number 0; wants a whole number from 1 to 1000/],
    [{ count: 1001 }, /count is the number 1001/],
    [{ count: 1.5 }, /count is the number 1.5/],
    [{ count: '5' }, /count is the text "5"/],
    [{ offset: -1 }, /offset is the number -1; wants a whole number from 0 to 100000/],
    [{ joins: [{ j: { from: '$users', on: 'a' } }] }, /joins\[0\]\.j\.from .* wants the name of a/],
    [{ joins: [{ j: { from: 'c' } }] }, /joins\[0\]\.j\.on is missing; wants a dotted path/],
    [{ joins: [{ _v: { from: 'c', on: 'a' } }] }, /which is a system field/],
    [{ joins: [{ 'a.b': { from: 'c', on: 'a' } }] }, /wants an alias/],
    [{ joins: times(2, { j: { from: 'c', on: 'a' } }) }, /joins name 'j' twice/],
    [
      { joins: [{ j: { from: 'c', on: 'a', as: 'x' } }] },
      /joins\[0\]\.j\.as is an unknown property/,
    ],
  ];
  it.each(REFUSED)('%j are refused', (query, problem) => {
    expect(refused(query)).toMatch(problem);
    expect(refused(query)).toMatch(/^ARGUMENT_INVALID/);
  });

  it('are accepted at each bound', () => {
    expect(refused({ count: 1000, offset: 100_000, sort: times(16, 'a') })).toBe('accepted');
    expect(refused({ fields: times(256, 'a') })).toBe('accepted');
  });
});

describe('joins', () => {
  it('come in a long and a short form, at most 16 in all', () => {
    const expected = [{ alias: 'j', from: 'c', on: ['a', 'b'], fields: [['x']] }];
    expect(parseJoins([{ alias: 'j', from: 'c', on: 'a.b', fields: ['x'] }])).toEqual(expected);
    expect(parseJoins([{ j: { from: 'c', on: 'a.b', fields: ['x'] } }])).toEqual(expected);
    const many = (count: number) =>
      Object.fromEntries(
        times(count, 0).map((_, at) => [`j${String(at)}`, { from: 'c', on: 'a' }]),
      );
    expect(parseJoins([many(16)]).length).toBe(16);
    expect(refusal(() => parseJoins([many(17)]))).toMatch(/joins are 17; the limit is 16/);
  });
});

describe('extends', () => {
  it('names a collection and a key, split at the first dot', () => {
    expect(parseExtends({ mem: 'memory.a.b' })).toEqual([
      { alias: 'mem', collection: 'memory', key: 'a.b' },
    ]);
    expect(parseExtends(undefined)).toEqual([]);
  });

  it.each([
    [5, /extends is the number 5; wants an object/],
    [{ mem: 'memory' }, /extends\.mem is the text "memory"; wants "<collection>\.<key>"/],
    [{ mem: '$users.admin' }, /wants the name of a collection/],
    [{ mem: 'memory.' }, /wants a key/],
    [{ 'a b': 'c.d' }, /wants an alias/],
  ])('%j is refused', (value, problem) => {
    expect(refusal(() => parseExtends(value))).toMatch(problem);
  });
});

describe('figures', () => {
  it('need a name, a kind and, but for count, a path', () => {
    const metrics = [
      { name: 'n', kind: 'count' },
      { name: 's', kind: 'sum', path: 'a.b' },
    ];
    expect(parseFigures({ groupBy: ['g'], metrics })).toEqual({
      groupBy: [['g']],
      metrics: [
        { name: 'n', kind: 'count', path: undefined },
        { name: 's', kind: 'sum', path: ['a', 'b'] },
      ],
    });
  });

  it.each([
    [{ metrics: [] }, /metrics is a list of 0; wants a list of 1 to 32/],
    [{ metrics: [{ name: '', kind: 'count' }] }, /metrics\[0\]\.name .* wants 1 to 64 characters/],
    [{ metrics: [{ name: 'x', kind: 'median' }] }, /kind is the text "median"; wants one of count/],
    [{ metrics: [{ name: 'x', kind: 'sum' }] }, /metrics\[0\]\.path is missing/],
    [{ metrics: times(2, { name: 'x', kind: 'count' }) }, /metrics name the text "x" twice/],
    [{ metrics: [{ name: 'x', kind: 'count' }], groupBy: times(9, 'a') }, /groupBy is a list of 9/],
  ])('%j are refused', (request, problem) => {
    expect(refusal(() => parseFigures(request))).toMatch(problem);
  });
});
