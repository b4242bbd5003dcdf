import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { DocumentTtl } from '../../../src/domain/collections/rules.ts';
import type { JsonObject } from '../../../src/storage/types.ts';
import { ADMINISTRATOR, openDomain, type OpenDomain } from './open-domain.ts';

const START_MS = Date.UTC(2026, 0, 31);
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

let shared: OpenDomain;

beforeAll(async () => {
  shared = await openDomain();
});

afterAll(async () => {
  await shared[Symbol.asyncDispose]();
});

/** When a document with this body, written at the start, expires under this rule. */
async function expiryOf(documentTtl: DocumentTtl, body: JsonObject): Promise<number | undefined> {
  const change = { rules: { documentTtl }, revision: undefined, validateOnly: false };
  const request = { ...change, allowMissing: true };
  await shared.collections.update(ADMINISTRATOR, 'expiring', request);
  const opened = await shared.catalog.find('expiring');
  return opened?.expiryOf(body, START_MS);
}

describe('the expiry of a document', () => {
  it('counts from its write without a field', async () => {
    expect(await expiryOf({ field: undefined, afterMs: 1500 }, {})).toBe(START_MS + 1500);
  });

  it.each<[string, unknown, number | undefined]>([
    ['text in UTC', '2026-01-31T00:00:00Z', START_MS],
    ['text with an offset', '2026-01-31T02:30:00+02:30', START_MS],
    ['text in lower case, with a space', '2026-01-31 00:00:00.5z', START_MS + 500],
    ['a leap day', '2028-02-29T00:00:00Z', Date.UTC(2028, 1, 29)],
    ['a number', START_MS, START_MS],
    ['a number with a fraction, rounded up', START_MS + 0.1, START_MS + 1],
    ['a time before 1970', -5000, 0],
    ['the last moment there is', LAST_MS - 1000, LAST_MS],
    ['a moment after it', LAST_MS - 999, undefined],
    ['a huge number', 1e300, undefined],
    ['a day that is none', '2026-02-30T00:00:00Z', undefined],
    ['a month that is none', '2026-13-01T00:00:00Z', undefined],
    ['an hour that is none', '2026-01-31T24:00:00Z', undefined],
    ['a date alone', '2026-01-31', undefined],
    ['other text', 'tomorrow', undefined],
    ['null', null, undefined],
    ['a list', [START_MS], undefined],
  ])('counts from a field with %s', async (_, at, startMs) => {
    const body = JSON.parse(JSON.stringify({ meta: { at } })) as JsonObject;
    const isClamped = startMs === 0 || startMs === LAST_MS;
    const expected = startMs === undefined || isClamped ? startMs : startMs + 1000;
    expect(await expiryOf({ field: ['meta', 'at'], afterMs: 1000 }, body)).toBe(expected);
  });

  it('is never without the field, and looks at own members only', async () => {
    expect(await expiryOf({ field: ['meta', 'at'], afterMs: 0 }, { meta: {} })).toBeUndefined();
    expect(await expiryOf({ field: ['__proto__', 'at'], afterMs: 0 }, {})).toBeUndefined();
  });

  it('hides the document at that very instant', async () => {
    await using domain = await openDomain();
    await domain.make('things', { documentTtl: { field: undefined, afterMs: 1000 } });
    await domain.fill('things', { a: {} });
    domain.clock.advance(999);
    expect(await domain.keysOf('things', ['a'])).toEqual(['a']);
    domain.clock.advance(1);
    expect(await domain.keysOf('things', ['a'])).toEqual([]);
  });
});

describe('the ttl of a collection', () => {
  const get = async (domain: OpenDomain): Promise<object> => {
    const view = await domain.collections.get(ADMINISTRATOR, 'things');
    const { record, isExpired, expiresAtMs } = view;
    return { documents: record.documents, bytes: record.bytes, isExpired, expiresAtMs };
  };

  it('shows it empty from that very instant, before anything has swept', async () => {
    await using domain = await openDomain();
    await domain.make('things', { ttlMs: 1000 });
    await domain.fill('things', { a: {}, b: {} });
    const endMs = domain.clock.now() + 1000;
    domain.clock.advance(999);
    const before = { documents: 2, bytes: 4, isExpired: false, expiresAtMs: endMs };
    expect(await get(domain)).toEqual(before);
    expect((await domain.catalog.find('things'))?.isExpired).toBe(false);
    domain.clock.advance(1);
    const after = { documents: 0, bytes: 0, isExpired: true, expiresAtMs: undefined };
    expect(await get(domain)).toEqual(after);
    expect((await domain.catalog.find('things'))?.isExpired).toBe(true);
  });

  it('counts from the last put, and updates do not prolong it', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { ttlMs: 1000 });
    await domain.fill('things', { a: {} });
    clock.advance(600);
    await domain.fill('things', { b: {} });
    const endMs = clock.now() + 1000;
    clock.advance(600);
    await engine.transact({ durability: 'async' }, (transaction) => {
      transaction.put({ collection: 'things', key: 'a', body: '{"n":1}', isUpdate: true });
    });
    expect(await get(domain)).toMatchObject({ documents: 2, expiresAtMs: endMs });
  });

  it('has no end while nothing is in it', async () => {
    await using domain = await openDomain();
    await domain.make('things', { ttlMs: 1000 });
    expect(await get(domain)).toMatchObject({ documents: 0, expiresAtMs: undefined });
    domain.clock.advance(5000);
    expect((await domain.catalog.find('things'))?.isExpired).toBe(false);
  });

  it('applies to what is there as soon as it is given', async () => {
    await using domain = await openDomain();
    await domain.make('things');
    await domain.fill('things', { a: {} });
    domain.clock.advance(5000);
    expect(await get(domain)).toMatchObject({ documents: 1, isExpired: false });
    const change = { revision: undefined, allowMissing: false, validateOnly: false };
    await domain.collections.update(ADMINISTRATOR, 'things', { ...change, rules: { ttlMs: 5000 } });
    expect(await get(domain)).toMatchObject({ documents: 0, isExpired: true });
  });
});
