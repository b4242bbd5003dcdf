import { expect, it } from 'vitest';

import fc from '../support/fast-check.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import type { Query } from '../../src/storage/query/query.ts';
import { toSequence, type Json, type StoredDocument } from '../../src/storage/types.ts';
import { collection, planCase, type PlanCase } from '../unit/query/arbitraries.ts';
import { indexOf, runUnplanned } from '../unit/query/memory-engine.ts';
import type { ContractSubject } from './storage-contract.ts';
import { builtIndex, field, openStore, QUERY } from './support.ts';

const RUNS = 50;

/** What a body may look like and still be the same value. */
const SPELLINGS = ['plain', 'spaced', 'escaped'] as const;
type Spelling = (typeof SPELLINGS)[number];

/** JSON of a value; `escaped` writes strings as escapes alone and whole numbers with a fraction. */
function spell(value: Json, spelling: Spelling): string {
  if (spelling === 'plain') return JSON.stringify(value);
  const gap = spelling === 'spaced' ? ' \n' : '';
  if (Array.isArray(value)) {
    return `[${value.map((item: Json) => spell(item, spelling)).join(`${gap},`)}]`;
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).map(
      ([name, member]) => `${spell(name, spelling)}${gap}:${gap}${spell(member, spelling)}`,
    );
    return `{${members.join(`,${gap}`)}}`;
  }
  if (spelling === 'spaced') return JSON.stringify(value);
  if (typeof value === 'string') return `"${value.replaceAll(/[^]/g, escapeUnit)}"`;
  if (!Number.isSafeInteger(value)) return JSON.stringify(value);
  return `${Object.is(value, -0) ? '-0' : String(value)}.0`;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Writes bodies in a spelling, with a member that every one has and several share. */
function respelled(
  documents: readonly StoredDocument[],
  spelling: Spelling,
): readonly StoredDocument[] {
  return documents.map((document, at) => {
    const members = JSON.parse(document.body) as Readonly<Record<string, Json>>;
    return { ...document, body: spell({ ...members, rank: at % 3 }, spelling) };
  });
}

/** Asks in the order of an index, which random values hardly ever are in. */
const ranked: fc.Arbitrary<Omit<PlanCase, 'documents'>> = fc
  .constantFrom('asc' as const, 'desc' as const)
  .map((direction) => ({
    indexes: [indexOf('rank', [{ path: 'rank', direction: 'asc' }])],
    filter: field('rank', 'gte', 0),
    order: { by: 'fields', fields: [{ path: ['rank'], direction }] },
  }));

/** Makes the documents of a collection these, in their order. */
async function replace(
  engine: StorageEngine,
  name: string,
  { before, after }: Record<'before' | 'after', readonly StoredDocument[]>,
): Promise<void> {
  const kept = new Set(after.map(({ key }) => key));
  await engine.transact({ durability: 'async' }, (transaction) => {
    for (const { key } of before) if (!kept.has(key)) transaction.delete({ collection: name, key });
    for (const { key, body } of after) transaction.put({ collection: name, key, body });
  });
}

/** As they are in the store after one replaced the other: who was there before keeps the place. */
function inPlace(
  before: readonly StoredDocument[],
  after: readonly StoredDocument[],
): readonly StoredDocument[] {
  const places = new Map(before.map(({ key, createdSequence }) => [key, createdSequence]));
  return after.map((document, at) => {
    const createdSequence = places.get(document.key) ?? toSequence(before.length + at + 1);
    return { ...document, createdSequence };
  });
}

type Found = readonly (readonly [key: string, body: string])[];

function foundIn(documents: readonly StoredDocument[]): Found {
  return documents.map(({ key, body }) => [key, body]);
}

/** What a query finds, page by page, and how much it counts. */
async function answer(
  engine: StorageEngine,
  query: Query,
  atSequence?: bigint,
): Promise<{ readonly found: Found; readonly total: number | undefined }> {
  const options = atSequence === undefined ? {} : { atSequence: toSequence(atSequence) };
  const found: (readonly [string, string])[] = [];
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...query, limit: 3, after }, options);
    found.push(...foundIn(page.documents));
    if (page.next === undefined) return { found, total: page.total };
    after = page.next;
  }
}

function expected(documents: readonly StoredDocument[], query: Query): object {
  const page = runUnplanned(documents, query);
  return { found: foundIn(page.documents), total: page.total };
}

/** Queries against the evaluator over all documents, which knows neither plans nor how bodies are kept. */
export function describeOracle(subject: ContractSubject): void {
  it('finds what the evaluator finds, in its order and to the byte, now and in the past', async () => {
    await using store = await openStore(subject);
    const { engine } = store;
    let runs = 0;
    let matched = 0;
    const asked = fc.record({
      plan: fc.oneof(
        { weight: 3, arbitrary: planCase },
        fc
          .record({ documents: collection, by: ranked })
          .map(({ documents, by }) => ({ documents, ...by })),
      ),
      later: collection,
      isIndexed: fc.boolean(),
      // Without it the walk of an index may also be the order.
      total: fc.boolean(),
      spellings: fc.tuple(fc.constantFrom(...SPELLINGS), fc.constantFrom(...SPELLINGS)),
    });
    await fc.assert(
      fc.asyncProperty(asked, async ({ plan, later, isIndexed, total, spellings }) => {
        const name = `c${String(runs++)}`;
        const { filter, order } = plan;
        const first = respelled(plan.documents, spellings[0]);
        const second = inPlace(first, respelled(later, spellings[1]));
        await replace(engine, name, { before: [], after: first });
        const { sequence } = await engine.head();
        for (const { name: index, fields, unique } of isIndexed ? plan.indexes : []) {
          await engine.createIndex({ collection: name, name: index, fields, unique });
          await builtIndex(engine, index, name);
        }
        const query = { ...QUERY, collection: name, filter, order, total };
        expect(await answer(engine, query)).toEqual(expected(first, query));
        await replace(engine, name, { before: first, after: second });
        expect(await answer(engine, query)).toEqual(expected(second, query));
        const past = await answer(engine, query, sequence);
        expect(past).toEqual(expected(first, query));
        matched += past.found.length;
      }),
      { numRuns: RUNS },
    );
    expect(matched).toBeGreaterThan(RUNS / 5);
  });
}
