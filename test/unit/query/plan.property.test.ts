/**
 * The planner may only narrow. Random documents, filters, orders and indexes; the answer through the
 * plan, walked exactly as told, must be the answer over all documents sorted in memory.
 */
import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { compileFilter } from '../../../src/storage/query/evaluate.ts';
import { planSelection } from '../../../src/storage/query/plan.ts';
import type { Query } from '../../../src/storage/query/query.ts';
import type { KeyAccess } from '../../../src/storage/types.ts';
import { planCase } from './arbitraries.ts';
import {
  entriesOf,
  isInRange,
  keysOf,
  planFor,
  QUERY,
  requestFor,
  runQuery,
  runUnplanned,
} from './memory-engine.ts';

const access: fc.Arbitrary<KeyAccess> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<KeyAccess>({ kind: 'all' }) },
  fc.record({
    kind: fc.constant('some' as const),
    keys: fc.subarray(['k0', 'k1', 'k7', 'x']),
    prefixes: fc.subarray(['k1', 'k', 'k12', '']),
  }),
);

/** A case and a query over it. */
const querying = fc
  .record({
    ...{ target: planCase, access },
    keyPrefix: fc.constantFrom('', '', '', '', 'k', 'k1'),
    keys: fc.oneof(
      { weight: 5, arbitrary: fc.constant(undefined) },
      fc.subarray(['k0', 'k3', 'k5', 'k12', 'x']),
    ),
    offset: fc.constantFrom(0, 0, 0, 1, 3),
    limit: fc.integer({ min: 1, max: 5 }),
    total: fc.constantFrom(false, false, false, true),
    canScanByInsertion: fc.boolean(),
  })
  .map(({ target, canScanByInsertion, ...parts }) => {
    const { documents, indexes } = target;
    const asked: Query = { ...QUERY, ...parts, filter: target.filter, order: target.order };
    return { documents, asked, options: { indexes, canScanByInsertion } };
  });

describe('a plan', () => {
  it('has every match inside one of its ranges, whatever the index', () => {
    fc.assert(
      fc.property(planCase, ({ documents, filter, indexes }) => {
        const isMatch = compileFilter(filter);
        const matches = documents.filter((document) => isMatch(createCandidate(document)));
        for (const index of indexes) {
          const { access: walked } = planSelection(
            requestFor({ ...QUERY, filter, total: true }, { indexes: [index] }),
          );
          if (walked.kind !== 'index') continue;
          for (const { key } of entriesOf(matches, index)) {
            expect(walked.ranges.filter((range) => isInRange(key, range)).length).toBe(1);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('gives the page, the total and the next position that no plan gives', () => {
    fc.assert(
      fc.property(querying, ({ documents, asked, options }) => {
        const planned = runQuery(documents, asked, options);
        const plain = runUnplanned(documents, asked);
        expect(keysOf(planned)).toEqual(keysOf(plain));
        expect(planned.total).toBe(plain.total);
        expect(planned.next).toBe(plain.next);
      }),
      { numRuns: 3000 },
    );
  });

  it('pages through every match once and in order', () => {
    fc.assert(
      fc.property(querying, ({ documents, asked, options }) => {
        const base = { ...asked, offset: 0, total: false };
        const all = keysOf(runUnplanned(documents, { ...base, limit: 1000 }));
        const paged: string[] = [];
        let after: string | undefined;
        do {
          const page = runQuery(documents, { ...base, after }, options);
          paged.push(...keysOf(page));
          after = page.next;
        } while (after !== undefined && paged.length <= all.length);
        expect(paged).toEqual(all);
      }),
      { numRuns: 2000 },
    );
  });

  it('uses indexes often enough for these properties to mean something', () => {
    const seen = { index: 0, ordered: 0, found: 0 };
    for (const { documents, asked, options } of fc.sample(querying, { numRuns: 1000, seed: 1 })) {
      const { access: walked, arrival } = planFor(documents, asked, options);
      if (walked.kind !== 'index') continue;
      const isFound = runUnplanned(documents, asked).documents.length > 0;
      seen.index++;
      if (isFound) seen.found++;
      if (isFound && arrival !== 'unordered') seen.ordered++;
    }
    expect(seen.index).toBeGreaterThan(150);
    expect(seen.found).toBeGreaterThan(80);
    expect(seen.ordered).toBeGreaterThan(20);
  });
});
