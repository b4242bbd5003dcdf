import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import {
  compareStrings,
  compareValues,
  deepEquals,
  fold,
} from '../../../src/storage/query/compare.ts';
import { createTopCollector } from '../../../src/storage/query/top.ts';
import { text, value } from './arbitraries.ts';

describe('strings', () => {
  it('compare by code point, as their UTF-8 bytes do', () => {
    expect(compareStrings('\ue000', '😀')).toBeLessThan(0);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        const bytes = Buffer.from(a, 'utf8').compare(Buffer.from(b, 'utf8'));
        expect(Math.sign(compareStrings(a, b))).toBe(bytes);
      }),
    );
  });

  it('fold without regard to what stands around', () => {
    expect(fold('ΟΔΟΣ')).toBe(fold('οδος'));
    expect(fold('ΟΔΟΣΑ').startsWith(fold('ΟΔΟΣ'))).toBe(true);
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(fold(a + b)).toBe(fold(fold(a) + fold(b)));
        expect(fold(a + b).startsWith(fold(a))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('values', () => {
  it('have one total order, in which only deeply equal values tie', () => {
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        expect(Math.sign(compareValues(a, b))).toBe(-Math.sign(compareValues(b, a)) + 0);
        expect(compareValues(a, b) === 0).toBe(deepEquals(a, b));
        if (compareValues(a, b) <= 0 && compareValues(b, c) <= 0) {
          expect(compareValues(a, c)).toBeLessThanOrEqual(0);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the first of many', () => {
  it('are those a full sort puts first', () => {
    const numbers = fc.array(fc.integer({ min: 0, max: 20 }));
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 8 }), (items, capacity) => {
        const top = createTopCollector<number>(capacity, (a, b) => a - b);
        for (const item of items) top.push(item);
        expect(top.sorted()).toEqual(items.toSorted((a, b) => a - b).slice(0, capacity));
      }),
    );
  });
});
