import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { seedLaptops } from '../../support/laptops.ts';
import { startTestServer } from '../../support/server.ts';

describe('POST /set', () => {
  it('counts, makes keys in order, and starts versions at 1', async () => {
    await using server = await startTestServer();
    const two = await server.asRoot('POST', '/set', { collection: 'a', data: { x: {}, y: {} } });
    expect(two.body).toEqual({ status: 'ok', count: 2 });
    const three = await server.asRoot('POST', '/set', { data: [{ n: 1 }, { n: 2 }, { n: 3 }] });
    expect(three.body).toMatchObject({ status: 'ok', count: 3 });
    expect(three.body.ids).toHaveLength(3);
    expect(three.body.ids.toSorted()).toEqual(three.body.ids);
    const found = await server.asRoot('POST', '/get', {
      collection: 'default',
      keys: three.body.ids[1],
    });
    expect(found.body).toEqual({ n: 2, _v: 1 });
  });

  it('writes all of a batch or nothing of it', async () => {
    await using server = await startTestServer();
    const schema = { type: 'object', required: ['n'] };
    await server.asRoot('POST', '/schema', { collection: 'a', schema });
    const bad = await server.asRoot('POST', '/set', {
      collection: 'a',
      data: { x: { n: 1 }, y: {} },
    });
    expect(bad.status).toBe(400);
    expect((await server.asRoot('POST', '/get', { collection: 'a' })).status).toBe(404);
  });

  it('copies what it extends, within what the token may read', async () => {
    await using server = await startTestServer();
    await seedLaptops(server);
    const data = { n1: { name: 'x', extends: { ram: 'memory.mem4', none: 'memory.mem9' } } };
    const token = await server.tokenWith(['write:laptops:*', 'read:laptops:*']);
    await server.request('POST', '/set', { body: { collection: 'laptops', data }, token });
    const narrow = await server.asRoot('POST', '/get', { collection: 'laptops', keys: 'n1' });
    expect(narrow.body).toEqual({ name: 'x', _v: 1 });
    await server.asRoot('POST', '/set', { collection: 'laptops', data });
    const { body } = await server.asRoot('POST', '/get', { collection: 'laptops', keys: 'n1' });
    expect(body).toMatchObject({ name: 'x', ram: { capacity_gb: 64, _key: 'mem4' } });
    expect(body).not.toHaveProperty('extends');
    expect(body).not.toHaveProperty('none');
  });

  it.each<[string, unknown, string]>([
    ['no data', { collection: 'a' }, "Missing 'data' (object or array)"],
    ['data that is text', { data: 'x' }, "Missing 'data' (object or array)"],
    ['a reserved field', { data: { k: { _v: 1 } } }, "Fields starting with '_' are reserved"],
    ['a bad ttl', { data: {}, ttl: -1 }, "'ttl' must be a non-negative integer (seconds)"],
    ['a bad maxSize', { data: {}, maxSize: 0 }, "'maxSize' must be a positive integer"],
    ['an unknown member', { data: {}, upsert: true }, "Unknown property: 'upsert'"],
    ['a document that is no object', { data: { k: 5 } }, 'must be a JSON object'],
    ['a bad key', { data: { 'a/b': {} } }, 'key'],
  ])('refuses %s', async (_, payload, text) => {
    await using server = await startTestServer();
    const { status, body } = await server.asRoot('POST', '/set', payload);
    expect(status).toBe(400);
    expect(body.statusCode).toBe(400);
    expect(body.error).toContain(text);
  });
});

describe('POST /update', () => {
  it('takes members whole, keeps null, skips unknown keys and guards by version', async () => {
    await using server = await startTestServer();
    const data = { k: { a: 1, nested: { x: 1, y: 2 }, 'odd/name~': 1 } };
    await server.asRoot('POST', '/set', { collection: 'c', data });
    const change = { k: { a: null, nested: { z: 3 }, 'odd/name~': 2 }, unknown: { a: 1 } };
    const updated = await server.asRoot('POST', '/update', { collection: 'c', data: change });
    expect(updated.body).toEqual({ status: 'ok', updated: 1 });
    const { body } = await server.asRoot('POST', '/get', { collection: 'c', keys: 'k' });
    expect(body).toEqual({ a: null, nested: { z: 3 }, 'odd/name~': 2, _v: 2 });
    const stale = await server.asRoot('POST', '/update', {
      collection: 'c',
      data: { k: { _v: 1 } },
    });
    expect([stale.status, stale.body.error]).toEqual([
      409,
      'Conflict: Document version is outdated',
    ]);
    const fresh = { k: { _v: 2, a: 5 } };
    expect((await server.asRoot('POST', '/update', { collection: 'c', data: fresh })).status).toBe(
      200,
    );
  });
});

describe('POST /delete', () => {
  it('tells true counts and follows the order of its members', async () => {
    await using server = await startTestServer();
    await seedLaptops(server);
    const remove = async (body: object): Promise<unknown> =>
      (await server.asRoot('POST', '/delete', { collection: 'laptops', ...body })).body;
    expect(await remove({ keys: 'lp99' })).toEqual({ status: 'ok', deleted: 0 });
    expect(await remove({ keys: ['lp1', 'lp99'] })).toEqual({ status: 'ok', deleted: 1 });
    expect(await remove({ where: { brand: 'Apple' }, keys: 'lp3' })).toEqual({
      status: 'ok',
      deleted: 1,
    });
    expect(await remove({ count: 1 })).toEqual({ status: 'ok', deleted: 1 });
    const left = await server.asRoot('POST', '/get', { collection: 'laptops' });
    expect(left.body.map(({ _key }: { _key: string }) => _key)).toEqual(['lp4', 'lp5', 'lp6']);
    expect(await remove({ drop: true, keys: 'lp4' })).toEqual({ status: 'ok', dropped: true });
    expect(await remove({ drop: true })).toEqual({ status: 'ok', dropped: true });
    const nothing = await server.asRoot('POST', '/delete', { collection: 'laptops' });
    expect([nothing.status, nothing.body.error]).toEqual([
      400,
      "Missing 'keys' (string or array) or 'drop': true",
    ]);
    const invalid = { collection: 'memory', where: { capacity_gb: { $most: 1 } } };
    expect((await server.asRoot('POST', '/delete', invalid)).status).toBe(400);
  });
});

describe('ttl, maxSize and stats', () => {
  it('empty a collection in time, whatever is read or updated meanwhile', async () => {
    const clock = createManualClock(Date.now());
    await using server = await startTestServer({}, { clock });
    await server.asRoot('POST', '/set', { collection: 'c', data: { a: {}, b: {} }, ttl: 60 });
    clock.advance(59_000);
    await server.asRoot('POST', '/update', { collection: 'c', data: { a: { x: 1 } } });
    expect((await server.asRoot('POST', '/get', { collection: 'c' })).body).toHaveLength(2);
    clock.advance(1000);
    expect((await server.asRoot('POST', '/get', { collection: 'c' })).status).toBe(404);
    const stats = await server.asRoot('POST', '/stats', { collection: 'c' });
    expect(stats.body).toEqual({ collection: 'c', count: 0, expired: true });
    await server.asRoot('POST', '/set', { collection: 'c', data: { d: {} } });
    const after = await server.asRoot('POST', '/get', { collection: 'c' });
    expect(after.body.map(({ _key }: { _key: string }) => _key)).toEqual(['d']);
  });

  it('keep the newest documents and tell about all readable collections', async () => {
    await using server = await startTestServer();
    await server.asRoot('POST', '/schema', { collection: 'c', maxSize: 2 });
    for (const key of ['a', 'b', 'c']) {
      await server.asRoot('POST', '/set', { collection: 'c', data: { [key]: {} } });
    }
    const token = await server.tokenWith(['read:c:*']);
    await server.asRoot('POST', '/set', { collection: 'hidden', data: { a: {} } });
    const { body } = await server.request('GET', '/stats', { token });
    expect(body).toEqual({ collections: { c: { count: 2, maxSize: 2 } }, total: 2 });
    const unknown = await server.asRoot('POST', '/stats', { collection: 'nowhere' });
    expect([unknown.status, unknown.body]).toEqual([
      404,
      { error: 'Collection not found', statusCode: 404 },
    ]);
  });

  it('are not to be changed by who may only write', async () => {
    await using server = await startTestServer();
    const token = await server.tokenWith(['write:c:*', 'read:c:*']);
    const limit = { collection: 'c', maxSize: 1 };
    expect((await server.request('POST', '/schema', { body: limit, token })).status).toBe(403);
    const body = { collection: 'c', data: { a: {} }, ttl: 1 };
    expect((await server.request('POST', '/set', { body, token })).status).toBe(403);
  });
});
