import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import {
  compareStrings,
  compareValues,
  deepEquals,
  fold,
} from '../../../src/storage/query/compare.ts';
import { conditionsOf } from '../../../src/storage/query/condition.ts';
import { createTopCollector } from '../../../src/storage/query/top.ts';
import { text, value } from './arbitraries.ts';
import { SELECTION } from './memory-engine.ts';

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

describe('conditions for engines', () => {
  it('have patterns that match every text the filter matches', () => {
    fc.assert(
      fc.property(text, text, (stored, wanted) => {
        fc.pre(!stored.includes('\0') && fold(stored).startsWith(fold(wanted)));
        const filter = { kind: 'startsWith', path: ['a'], value: wanted } as const;
        const [condition] = conditionsOf({ ...SELECTION, filter });
        const like = condition?.kind === 'string' ? condition.like : '';
        expect(isLike(stored, like)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('are wider than the filter where an engine may see text or numbers otherwise', () => {
    const on = { path: ['a', 'b'] } as const;
    const filter = {
      kind: 'and',
      clauses: [
        { kind: 'compare', op: 'eq', value: 'Kö_%\\', ...on },
        { kind: 'compare', op: 'gte', value: 10, ...on },
        { kind: 'compare', op: 'eq', value: true, ...on },
        { kind: 'compare', op: 'eq', value: null, ...on },
        { kind: 'compare', op: 'lt', value: 2 ** 53, ...on },
        { kind: 'startsWith', value: 'ab', ...on },
        { kind: 'isNull', path: ['a', '0'] },
        { kind: 'isNull', path: ['_v'] },
        { kind: 'not', clause: { kind: 'isNull', ...on } },
      ],
    } as const;
    expect(conditionsOf({ ...SELECTION, filter })).toEqual([
      { kind: 'string', ...on, like: '_%\\_\\%\\\\' },
      { kind: 'number', ...on, min: 10 - 10e-12, max: undefined },
      { kind: 'boolean', ...on, value: true },
      { kind: 'string', ...on, like: 'ab%' },
    ]);
  });
});

/** LIKE as engines have it: it ignores the case of ASCII letters only. */
function isLike(stored: string, like: string): boolean {
  const ascii = (part: string) => part.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const pattern = like.replace(/\\(.)|%|_|[^\\%_]/gsu, (token, escaped: string | undefined) => {
    if (token === '%') return '.*';
    if (token === '_') return '.';
    return ascii(escaped ?? token).replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  });
  return new RegExp(`^${pattern}$`, 'su').test(ascii(stored));
}
