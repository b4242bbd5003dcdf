import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import {
  compareNumbers,
  compareStrings,
  deepEquals,
  fold,
  RANK,
  rankOf,
} from '../../../src/storage/query/compare.ts';
import {
  compileIndex,
  encodeComponent,
  encodeTextPrefix,
  isTruncated,
  prefixEnd,
} from '../../../src/storage/query/encode.ts';
import type { Json } from '../../../src/storage/types.ts';
import { body, indexFields, number, scalar, text } from './arbitraries.ts';
import { storedDocument } from './memory-engine.ts';

/** The order an index promises: by type, then numbers by value and folded strings by code point. */
function indexOrder(a: Json | undefined, b: Json | undefined): number {
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b);
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(fold(a), fold(b));
  return rankOf(a) - rankOf(b);
}

const field = fc.option(scalar, { nil: undefined });
const shortField = field.filter((item) => typeof item !== 'string' || !isTruncated(item));

describe('encoded components', () => {
  it('order tuples as their values, field by field and each in its direction', () => {
    const direction = fc.constantFrom('asc' as const, 'desc' as const);
    const pair = fc.tuple(shortField, shortField, direction);
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 4 }), (fields) => {
        const [left, right] = [0, 1].map((side) =>
          Buffer.concat(
            fields.map((item) => encodeComponent(side === 0 ? item[0] : item[1], item[2])),
          ),
        );
        const expected = fields.reduce(
          (order, [a, b, way]) => order || (way === 'asc' ? indexOrder(a, b) : indexOrder(b, a)),
          0,
        );
        expect(Math.sign((left ?? Buffer.alloc(0)).compare(right ?? Buffer.alloc(0)))).toBe(
          Math.sign(expected),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('never put a longer text before a smaller one, and tell long texts apart', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const order = encodeComponent(a, 'asc').compare(encodeComponent(b, 'asc'));
        if (!isTruncated(a) || !isTruncated(b)) {
          expect(Math.sign(order)).toBe(Math.sign(compareStrings(fold(a), fold(b))));
        } else {
          expect(order === 0).toBe(fold(a) === fold(b));
        }
      }),
    );
  });

  it('are equal for arrays and objects exactly when those are deeply equal', () => {
    const structure = fc
      .jsonValue({ maxDepth: 2 })
      .filter((item) => rankOf(item as Json) > RANK.string);
    fc.assert(
      fc.property(structure, structure, (left, right) => {
        const [a, b] = [left as Json, right as Json];
        const isSame = encodeComponent(a, 'asc').equals(encodeComponent(b, 'asc'));
        expect(isSame).toBe(deepEquals(a, b));
        expect(
          encodeComponent({ x: 1, y: a }, 'asc').equals(encodeComponent({ y: a, x: 1 }, 'asc')),
        ).toBe(true);
      }),
    );
  });

  it('begin as the prefix of a text they start with', () => {
    fc.assert(
      fc.property(text, text, fc.constantFrom('asc' as const, 'desc' as const), (a, b, way) => {
        fc.pre(fold(a).startsWith(fold(b)));
        const prefix = encodeTextPrefix(b, way);
        expect(encodeComponent(a, way).subarray(0, prefix.length).equals(prefix)).toBe(true);
      }),
    );
  });

  it('lie before the end of their prefix', () => {
    expect(prefixEnd(Buffer.from([1, 0xff]))).toEqual(Buffer.from([2]));
    expect(prefixEnd(Buffer.from([0xff, 0xff]))).toBeUndefined();
    fc.assert(
      fc.property(number, (value) => {
        const component = encodeComponent(value, 'desc');
        expect(prefixEnd(component)?.compare(component)).toBe(1);
      }),
    );
  });
});

describe('index entries', () => {
  it('count for uniqueness unless every field is missing', () => {
    const encode = compileIndex([
      { path: 'a', direction: 'asc' },
      { path: 'b.x', direction: 'desc' },
    ]);
    const exempt = (item: Json) => encode(createCandidate(storedDocument('k', item))).isExempt;
    expect(exempt({})).toBe(true);
    expect(exempt({ b: { y: 1 } })).toBe(true);
    expect(exempt({ a: null })).toBe(false);
    expect(exempt({ b: { x: 0 } })).toBe(false);
  });

  it('are the same for the same document', () => {
    fc.assert(
      fc.property(indexFields, body, (fields, item) => {
        const document = storedDocument('k', item);
        const first = compileIndex(fields)(createCandidate(document)).key;
        expect(compileIndex(fields)(createCandidate(document)).key.equals(first)).toBe(true);
      }),
    );
  });
});
