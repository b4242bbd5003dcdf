import { describe, expect, it } from 'vitest';

import { parseWhere } from '../../../src/domain/query/where.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { compileFilter } from '../../../src/storage/query/evaluate.ts';
import type { Json } from '../../../src/storage/types.ts';
import { storedDocument } from './memory-engine.ts';

function isMatch(where: Json, body: Json): boolean {
  return compileFilter(parseWhere(where))(createCandidate(storedDocument('k1', body)));
}

type Row = readonly [where: Json, matching: readonly Json[], others: readonly Json[]];

/** Each row: a filter, values of `f` that match and values that do not. `{}` stands for no `f`. */
const MISSING = Symbol.for('missing') as unknown as Json;
const on = (value: Json): Json => (value === MISSING ? {} : { f: value });

const OPERATORS: Readonly<Record<string, Row>> = {
  'a plain text': [{ f: 'Apple' }, ['apple', 'APPLE'], ['apples', null, MISSING, ['apple']]],
  'a plain number': [{ f: 1 }, [1, 1.0], ['1', true, 2]],
  'a plain null': [{ f: null }, [null], [MISSING, 0, false]],
  'a plain list': [{ f: ['A', 1] }, [['A', 1]], [['a', 1], [1, 'A'], ['A', 1, 2], 'A']],
  'a plain object': [{ f: { x: 1, y: 2 } }, [{ y: 2, x: 1 }], [{ x: 1 }, { x: 1, y: 2, z: 3 }]],
  'no operator': [{ f: {} }, [1, null, MISSING], []],
  $eq: [{ f: { $eq: 'É' } }, ['é'], ['e', MISSING]],
  $equals: [{ f: { $equals: 2 } }, [2], [3]],
  '$eq null': [{ f: { $eq: null } }, [null, MISSING], [0, '', false]],
  $ne: [{ f: { $ne: 'A' } }, ['b', 1, null, MISSING], ['a', 'A']],
  $notEquals: [{ f: { $notEquals: null } }, [0, ''], [null, MISSING]],
  $gt: [{ f: { $gt: 5 } }, [5.1, 1e300], [5, '6', true, null, MISSING, [6]]],
  $greaterThan: [{ f: { $greaterThan: 'B' } }, ['c', 'C', 'ba'], ['a', 'b', 'B', 3]],
  $gte: [{ f: { $gte: 5 } }, [5, 6], [4.99, '5']],
  $greaterThanOrEqual: [{ f: { $greaterThanOrEqual: 'b' } }, ['B', 'c'], ['A', 5]],
  $lt: [{ f: { $lt: 0 } }, [-1], [0, -0, null, MISSING, false]],
  $lessThan: [{ f: { $lessThan: '2026-01-02' } }, ['2026-01-01T10:00:00Z'], ['2026-01-02']],
  $lte: [{ f: { $lte: 0 } }, [0, -0, -1], [1, '']],
  $lessThanOrEqual: [{ f: { $lessThanOrEqual: '\ue000' } }, ['\ue000', 'z'], ['😀']],
  $in: [{ f: { $in: ['a', 1, null, [1]] } }, ['A', 1, null, MISSING, [1]], ['b', '1', [2]]],
  $oneOf: [{ f: { $oneOf: [true] } }, [true], [1, 'true', MISSING]],
  '$in nothing': [{ f: { $in: [] } }, [], [1, null, MISSING]],
  $nin: [{ f: { $nin: ['a', 1] } }, ['b', 2, null, MISSING, ['a']], ['A', 1]],
  $notIn: [{ f: { $notIn: [null] } }, [0], [null, MISSING]],
  $contains: [{ f: { $contains: 'Pro' } }, ['MacBook pro', ['Pro']], ['Mac', ['pro'], 1, MISSING]],
  $ct: [{ f: { $ct: 1 } }, [[2, 1], [1.0]], ['1', [[1]], { x: 1 }]],
  '$ct object': [{ f: { $ct: { a: 1, b: 2 } } }, [[{ b: 2, a: 1 }]], [[{ a: 1 }], { a: 1, b: 2 }]],
  $startsWith: [{ f: { $startsWith: 'ab' } }, ['ABC', 'ab'], ['cab', ['ab'], MISSING]],
  $endsWith: [{ f: { $endsWith: 'ΑΣ' } }, ['οδας', 'ΑΣ'], ['ας!', 1]],
  $exists: [{ f: { $exists: true } }, [null, 0], [MISSING]],
  '$exists false': [{ f: { $exists: false } }, [MISSING], [null]],
  $regex: [{ f: { $regex: '^a.c$' } }, ['abc'], ['Abc', 'abcd', 5, ['abc'], MISSING]],
  $options: [{ f: { $regex: '^A$', $options: 'im' } }, ['x\na'], ['xa']],
  $size: [{ f: { $size: 2 } }, [[1, 2]], [[1], 'ab', 2, { x: 1, y: 2 }]],
  $all: [{ f: { $all: ['a', 1] } }, [[1, 'a', 'b']], [['A', 1], ['a'], 'a']],
  $not: [{ f: { $not: { $gt: 5 } } }, [5, 'x', null, MISSING], [6]],
  '$elemMatch object': [
    { f: { $elemMatch: { n: 'x', q: { $gt: 1 } } } },
    [[{ n: 'X', q: 2 }]],
    [[{ n: 'x' }, { q: 2 }], { n: 'x', q: 2 }, MISSING],
  ],
  '$elemMatch value': [{ f: { $elemMatch: { $gt: 1, $lt: 3 } } }, [[0, 2]], [[0, 4], 2]],
  '$elemMatch or': [
    { f: { $elemMatch: { $or: [{ $eq: 1 }, { x: { $eq: 2 } }] } } },
    [[1], [{ x: 2 }]],
    [[2], [{ x: 1 }]],
  ],
  '$elemMatch not': [{ f: { $elemMatch: { $not: { $eq: 1 } } } }, [[1, 2]], [[1], []]],
  'several operators': [{ f: { $gt: 1, $lt: 3 } }, [2], [1, 3]],
};

describe.each(Object.entries(OPERATORS))('%s', (_name, [where, matching, others]) => {
  it('matches what it should and nothing else', () => {
    for (const value of matching) expect([value, isMatch(where, on(value))]).toEqual([value, true]);
    for (const value of others) expect([value, isMatch(where, on(value))]).toEqual([value, false]);
  });
});

describe('combining', () => {
  it('takes several fields, lists of conditions, $and, $or and $not', () => {
    const body = { a: 1, b: 'x', c: { d: [10, 20] } };
    expect(isMatch({ a: 1, b: 'X' }, body)).toBe(true);
    expect(isMatch({ a: 1, b: 'y' }, body)).toBe(false);
    expect(isMatch([{ a: 1 }, { b: 'y' }], body)).toBe(false);
    expect(isMatch({ $or: [{ a: 2 }, { $and: [{ a: 1 }, { b: 'x' }] }] }, body)).toBe(true);
    expect(isMatch({ $not: { a: 1 } }, body)).toBe(false);
    expect(isMatch({}, body)).toBe(true);
    expect(isMatch({ 'c.d.1': 20, 'c.d.2': { $exists: false } }, body)).toBe(true);
  });

  it('reads own members only and has no prototype', () => {
    expect(isMatch({ constructor: { $exists: true } }, {})).toBe(false);
    expect(isMatch({ 'a.length': { $exists: true } }, { a: [1] })).toBe(false);
    const hostile = JSON.parse('{"__proto__": {"x": 1}}') as Json;
    expect(isMatch({ '__proto__.x': 1 }, hostile)).toBe(true);
    expect(isMatch({ '__proto__.x': 1 }, { y: 1 })).toBe(false);
    expect(isMatch({ x: 1 }, hostile)).toBe(false);
  });

  it('reaches the system fields', () => {
    expect(isMatch({ _key: { $startsWith: 'K' }, _v: 1, _seq: { $gte: 1 } }, {})).toBe(true);
    expect(isMatch({ _createdAt: { $lt: '2027' }, _expiresAt: { $exists: false } }, {})).toBe(true);
    expect(isMatch({ _v: { $gt: 1 } }, { _v: 5 })).toBe(false);
  });
});

const deep = (levels: number): Json => (levels === 0 ? { a: 1 } : { $and: [deep(levels - 1)] });

/** Malformed filters: the clause that is named, and a part of what is said. */
const MALFORMED: readonly (readonly [Json, string, RegExp])[] = [
  [null, 'where', /null; wants an object/],
  ['x', 'where', /the text "x"; wants an object/],
  [[1], 'where[0]', /the number 1; wants an object/],
  [{ price: { $gtt: 5 } }, 'where.price.$gtt', /unknown operator; did you mean \$gt/],
  [{ price: { $contain: 5 } }, 'where.price.$contain', /did you mean \$contains\?/],
  [{ $xor: [] }, 'where.$xor', /did you mean \$or\?/],
  [{ $gt: 5 }, 'where.$gt', /operator on a field; write the field around it/],
  [{ price: { $or: [] } }, 'where.price.$or', /write it around the field/],
  [{ price: { $gt: 5, max: 7 } }, 'where.price.max', /a member among operators/],
  [{ price: { $gt: true } }, 'where.price.$gt', /is true; wants a number or a string/],
  [{ price: { $lte: null } }, 'where.price.$lte', /is null; wants a number or a string/],
  [{ a: { $in: 5 } }, 'where.a.$in', /the number 5; wants a list of 0 to 1000 values/],
  [{ a: { $in: Array(1001).fill(0) } }, 'where.a.$in', /a list of 1001/],
  [{ a: { $all: [] } }, 'where.a.$all', /a list of 0; wants a list of 1 to 1000/],
  [{ $or: { a: 1 } }, 'where.$or', /an object; wants a list/],
  [{ $and: [] }, 'where.$and', /a list of 0; wants a list of at least one/],
  [{ $or: [{ a: 1 }, 2] }, 'where.$or[1]', /the number 2; wants an object/],
  [{ a: { $exists: 1 } }, 'where.a.$exists', /wants true or false/],
  [{ a: { $size: -1 } }, 'where.a.$size', /wants a whole number from 0/],
  [{ a: { $startsWith: 1 } }, 'where.a.$startsWith', /wants a string/],
  [{ a: { $not: 5 } }, 'where.a.$not', /wants an object of operators/],
  [{ a: { $elemMatch: 5 } }, 'where.a.$elemMatch', /wants an object of conditions/],
  [{ a: { $regex: '(' } }, 'where.a.$regex', /not a pattern in RE2 syntax/],
  [{ a: { $regex: '(?=a)' } }, 'where.a.$regex', /not a pattern in RE2 syntax/],
  [{ a: { $regex: 'a', $options: 'x' } }, 'where.a.$regex', /option 'x'; wants only i, m and s/],
  [{ a: { $regex: 'a'.repeat(1001) } }, 'where.a.$regex', /1001 characters; the limit is 1000/],
  [{ a: { $regex: '(\\pL{500}){4}' } }, 'where.a.$regex', /RE2 syntax|instructions; the limit/],
  [{ a: { $options: 'i' } }, 'where.a.$options', /goes beside \$regex/],
  [{ 'a..b': 1 }, 'where.a..b', /an empty segment/],
  [{ 'a b': 1 }, 'where.a b', /a path holds only/],
  [{ '': 1 }, 'where.', /an empty path/],
  [{ ['a'.repeat(129)]: 1 }, `where.${'a'.repeat(129)}`, /129 characters; the limit is 128/],
  [{ [Array(33).fill('a').join('.')]: 1 }, `where.${Array(33).fill('a').join('.')}`, /33 segments/],
];

describe('a malformed filter', () => {
  it.each(MALFORMED)('%j is refused, naming %s', (where, field, problem) => {
    const error = errorOf(() => parseWhere(where));
    expect(error.reason).toBe('FILTER_INVALID');
    expect(error.violations[0]?.field).toBe(field);
    expect(error.message).toMatch(problem);
  });

  it('is refused one past each bound and accepted at the bound', () => {
    const clauses = (count: number): Json => ({ $or: Array<Json>(count - 1).fill({ a: 1 }) });
    expect(parseWhere(clauses(1000)).kind).toBe('or');
    expect(errorOf(() => parseWhere(clauses(1001))).message).toMatch(/the limit is 1000/);
    expect(parseWhere(deep(15)).kind).toBe('and');
    expect(errorOf(() => parseWhere(deep(16))).message).toMatch(/too deep; the limit is 32 levels/);
    expect(parseWhere({ a: { $in: Array<Json>(1000).fill(0) } }).kind).toBe('in');
    expect(parseWhere({ a: { $regex: 'a'.repeat(1000) } }).kind).toBe('regex');
    let literal: Json = 1;
    for (let level = 0; level < 40; level++) literal = [literal];
    expect(errorOf(() => parseWhere({ a: literal })).message).toMatch(/too deep/);
  });

  it('is named shortly however long its names are', () => {
    const error = errorOf(() => parseWhere({ ['$'.repeat(100_000)]: 1 }));
    expect(error.message.length).toBeLessThan(1000);
  });
});

function errorOf(run: () => unknown): DomainError {
  try {
    run();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
