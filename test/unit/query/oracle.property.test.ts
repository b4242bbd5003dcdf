/**
 * The evaluator against mingo, an independent implementation of MongoDB's query language, on the subset
 * in which both mean the same. Left out, because the two differ on purpose:
 *
 * - strings with capital letters: MongoDB tells case apart, equality here does not;
 * - arrays as values of plain comparisons: MongoDB also compares their elements, here only
 *   `$elemMatch`, `$contains` and a decimal path segment reach into an array;
 * - a plain null: in MongoDB it also matches a missing field, here only `{"$eq": null}` does;
 * - ranges over booleans, null and objects, which never match here;
 * - objects as operands: MongoDB compares their members in order;
 * - `$contains`, `$startsWith` and `$endsWith`, which MongoDB does not have.
 */
import { Query as MingoQuery } from 'mingo';
import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { parseWhere } from '../../../src/domain/query/where.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { compileFilter } from '../../../src/storage/query/evaluate.ts';
import type { Json } from '../../../src/storage/types.ts';
import { storedDocument } from './memory-engine.ts';

const text = fc.constantFrom('', 'a', 'ab', 'b', 'x y', 'ÿ');
const number = fc.constantFrom(-1, 0, 1, 1.5, 2, 1e21);
const plain: fc.Arbitrary<Json> = fc.oneof(text, number, fc.boolean());
const operand: fc.Arbitrary<Json> = fc.oneof(plain, fc.constant(null));
const ordered: fc.Arbitrary<Json> = fc.oneof(text, number);

const PATHS = ['a', 'b', 'o.x', 'o.y'] as const;
const document = fc.record(
  {
    ...{ a: operand, b: operand, list: fc.array(plain, { maxLength: 3 }) },
    o: fc.record({ x: operand, y: operand }, { requiredKeys: [] }),
    items: fc.array(fc.record({ x: operand, y: plain }, { requiredKeys: [] }), { maxLength: 3 }),
  },
  { requiredKeys: [] },
);

const operators: fc.Arbitrary<Json> = fc.oneof(
  plain,
  fc.record({ $eq: operand }),
  fc.record({ $ne: operand }),
  fc.record({ $in: fc.array(operand, { maxLength: 3 }) }),
  fc.record({ $nin: fc.array(operand, { maxLength: 3 }) }),
  fc.record({ $exists: fc.boolean() }),
  fc.record({ $regex: fc.constantFrom('a', '^a', 'b$', '^.$') }),
  fc.record({ $not: fc.record({ $gt: ordered }) }),
  fc.record({ $gt: ordered, $lte: ordered }, { requiredKeys: ['$gt'] }),
  fc.record({ $gte: ordered, $lt: ordered }, { requiredKeys: ['$lt'] }),
);

const onList: fc.Arbitrary<Json> = fc.oneof(
  fc.record({ $size: fc.nat({ max: 3 }) }),
  fc.record({ $all: fc.array(plain, { minLength: 1, maxLength: 2 }) }),
  fc.record({ $elemMatch: fc.record({ $gt: ordered, $lte: ordered }, { requiredKeys: ['$gt'] }) }),
);

const onItems: fc.Arbitrary<Json> = fc.record({
  $elemMatch: fc.record({ x: operators, y: operators }, { requiredKeys: ['x'] }),
});

const leaf: fc.Arbitrary<Json> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constantFrom(...PATHS), operators).map(named) },
  onList.map((operand_) => ({ list: operand_ })),
  onItems.map((operand_) => ({ items: operand_ })),
);

function named([path, condition]: readonly [string, Json]): Json {
  return { [path]: condition };
}

const where: fc.Arbitrary<Json> = fc.letrec<{ node: Json }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 3, arbitrary: leaf },
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((items) => ({ $and: items })),
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }).map((items) => ({ $or: items })),
  ),
})).node;

describe('the evaluator', () => {
  it('agrees with mingo where both mean the same', () => {
    let matched = 0;
    fc.assert(
      fc.property(where, fc.array(document, { minLength: 1, maxLength: 5 }), (filter, bodies) => {
        const oracle = new MingoQuery(filter as Record<string, Json>);
        const matches = compileFilter(parseWhere(filter));
        for (const body of bodies) {
          const expected = oracle.test(body);
          if (expected) matched++;
          expect(matches(createCandidate(storedDocument('k', body)))).toBe(expected);
        }
      }),
      { numRuns: 3000 },
    );
    expect(matched).toBeGreaterThan(1000);
  });
});
