import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { between, constraintsOf, hullOf, towards } from '../../../src/storage/query/constraint.ts';
import { RANK } from '../../../src/storage/query/compare.ts';
import { encodeComponent } from '../../../src/storage/query/encode.ts';
import { compileFilter } from '../../../src/storage/query/evaluate.ts';
import type { Filter } from '../../../src/storage/query/filter.ts';
import type { Json } from '../../../src/storage/types.ts';
import { leafOn, text, value } from './arbitraries.ts';
import { isInRange, storedDocument } from './memory-engine.ts';

const stored = fc.oneof(text, value);
const range = fc
  .tuple(fc.constantFrom('gt' as const, 'gte' as const, 'lt' as const, 'lte' as const), text)
  .map(([op, operand]): Filter => ({ kind: 'compare', path: ['a'], op, value: operand }));
const start = text.map((part): Filter => ({ kind: 'startsWith', path: ['a'], value: part }));
const leaf: fc.Arbitrary<Filter> = fc.oneof({ weight: 3, arbitrary: range }, start, {
  weight: 3,
  arbitrary: leafOn(['a']),
});

function isHeld(filter: Filter, item: Json | undefined): boolean {
  const constraint = constraintsOf(filter).get('a');
  if (constraint === undefined) return true;
  const component = encodeComponent(item, 'asc');
  return constraint.kind === 'points'
    ? constraint.values.some((point) => encodeComponent(point, 'asc').equals(component))
    : isInRange(component, constraint);
}

describe('a constraint', () => {
  it('holds every value its condition matches', () => {
    fc.assert(
      fc.property(leaf, fc.option(stored, { nil: undefined }), (filter, item) => {
        const body: Json = item === undefined ? {} : { a: item };
        if (!compileFilter(filter)(createCandidate(storedDocument('k', body)))) return;
        expect(isHeld(filter, item)).toBe(true);
      }),
      { numRuns: 10_000 },
    );
  });

  it('leaves out what is plainly outside', () => {
    const gt: Filter = { kind: 'compare', path: ['a'], op: 'gt', value: 5 };
    expect([4, 5, 6, '6', true, null].map((item) => isHeld(gt, item))).toEqual([
      ...[false, false, true, false, false, false],
    ]);
    const both: Filter = {
      kind: 'and',
      clauses: [gt, { kind: 'compare', path: ['a'], op: 'lte', value: 7 }],
    };
    expect([5, 6, 7, 8].map((item) => isHeld(both, item))).toEqual([false, true, true, false]);
    const either: Filter = {
      kind: 'or',
      clauses: [both, { kind: 'in', path: ['a'], values: [9] }],
    };
    expect([5, 6, 9, 10].map((item) => isHeld(either, item))).toEqual([false, true, true, false]);
    expect(constraintsOf({ kind: 'not', clause: gt }).size).toBe(0);
  });

  it('holds the same values in a descending index', () => {
    fc.assert(
      fc.property(leaf, fc.option(stored, { nil: undefined }), (filter, item) => {
        const constraint = constraintsOf(filter).get('a') ?? between(RANK.null, RANK.missing);
        const hull = hullOf(constraint);
        fc.pre(hull.lower.compare(hull.upper) < 0);
        expect(isInRange(encodeComponent(item, 'desc'), towards(hull, 'desc'))).toBe(
          isInRange(encodeComponent(item, 'asc'), hull),
        );
      }),
      { numRuns: 5000 },
    );
  });
});
