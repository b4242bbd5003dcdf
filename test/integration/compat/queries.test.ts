import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seedLaptops } from '../../support/laptops.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await seedLaptops(server);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function get(query: Record<string, unknown>): Promise<TestResponse> {
  return server.asRoot('POST', '/get', { collection: 'laptops', ...query });
}

async function keys(query: Record<string, unknown>): Promise<readonly string[]> {
  const { body } = await get(query);
  return Array.isArray(body) ? body.map(({ _key }: { _key: string }) => _key) : [];
}

describe('POST /get', () => {
  it.each<[string, unknown, readonly string[]]>([
    ['equality', { brand: 'Apple' }, ['lp2']],
    ['equality without case', { brand: 'apple' }, ['lp2']],
    ['a range', { price: { $gt: 1000, $lt: 2000 } }, ['lp1', 'lp3', 'lp4']],
    ['aliases', { price: { $greaterThan: 1000, $lessThan: 2000 } }, ['lp1', 'lp3', 'lp4']],
    ['a nested path', { 'specs.cpu.cores': { $gte: 12 } }, ['lp1', 'lp2', 'lp4', 'lp5']],
    ['inequality', { 'specs.cpu.brand': { $ne: 'Intel' } }, ['lp2', 'lp3']],
    ['text within text', { model: { $contains: 'Pro' } }, ['lp2']],
    ['an element of a list', { tags: { $ct: 'gaming' } }, ['lp3', 'lp5']],
    ['one of several', { brand: { $in: ['Apple', 'Dell', 'Razer'] } }, ['lp2', 'lp4', 'lp5']],
    ['none of several', { brand: { $notIn: ['Framework'] } }, ['lp1', 'lp2', 'lp3', 'lp4', 'lp5']],
    [
      'several fields',
      { in_stock: true, tags: { $contains: 'gaming' }, price: { $lt: 2000 } },
      ['lp3'],
    ],
    ['either', { $or: [{ brand: 'Apple' }, { price: 849 }] }, ['lp2', 'lp6']],
    ['a list of filters', [{ in_stock: true }, { price: { $lt: 1000 } }], ['lp6']],
    ['everything', {}, ['lp1', 'lp2', 'lp3', 'lp4', 'lp5', 'lp6']],
  ])('finds by %s', async (_, where, expected) => {
    expect(await keys({ where })).toEqual(expected);
  });

  it('sorts, skips and counts', async () => {
    const prices = async (query: Record<string, unknown>): Promise<unknown> =>
      ((await get(query)).body as { price: number }[]).map(({ price }) => price);
    expect(await prices({ sort: ['price'] })).toEqual([849, 1499, 1699, 1899, 2499, 3499]);
    expect(await prices({ sort: [{ field: 'price', order: 'DESC' }], count: 2 })).toEqual([
      3499, 2499,
    ]);
    expect(await prices({ sort: ['price'], offset: 2, count: 2 })).toEqual([1699, 1899]);
    expect(await keys({ order: 'desc', count: 2 })).toEqual(['lp6', 'lp5']);
  });

  it('joins, filters and sorts by what is joined', async () => {
    const screen = { screen: { from: 'display', on: 'display_id' } };
    const ram = { ram: { from: 'memory', on: 'memory_id', fields: ['capacity_gb'] } };
    const [first] = (await get({ joins: [screen, ram], keys: ['lp1'] })).body as never[];
    expect(first).toMatchObject({ screen: { refresh_hz: 90 }, ram: { capacity_gb: 16 } });
    const where = { 'screen.panel': { $in: ['OLED', 'Mini-LED'] } };
    expect(await keys({ joins: [screen], where })).toEqual(['lp1', 'lp2', 'lp4']);
    const sorted = await get({
      joins: [screen],
      sort: [{ field: 'screen.refresh_hz', order: 'desc' }],
    });
    expect((sorted.body as { screen: { refresh_hz: number } }[])[0]?.screen.refresh_hz).toBe(165);
  });

  it('shows the fields asked for and the system fields by their rules', async () => {
    const [document] = (await get({ fields: ['brand', 'specs.cpu.brand', '_seq'], count: 1 }))
      .body as Record<string, unknown>[];
    expect(document).toEqual({
      ...{ brand: 'Lenovo', specs: { cpu: { brand: 'Intel' } }, _key: 'lp1', _v: 1 },
      _seq: expect.any(Number) as number,
    });
    const { body } = await get({ excludedFields: ['specs', 'tags'], keys: ['lp1'] });
    expect(Object.keys((body as object[])[0] ?? {}).sort()).toEqual([
      '_key',
      '_v',
      'brand',
      'display_id',
      'in_stock',
      'memory_id',
      'model',
      'price',
    ]);
  });

  it('answers one key with the bare document and several with a list, in full', async () => {
    const single = await get({ keys: 'lp2' });
    expect(single.body).toMatchObject({ brand: 'Apple', _v: 1 });
    expect(single.body).not.toHaveProperty('_key');
    const many = Array.from({ length: 150 }, (_, at) => [`m${String(at)}`, { at }]);
    await server.asRoot('POST', '/set', { collection: 'many', data: Object.fromEntries(many) });
    const names = many.map(([name]) => name);
    const all = await server.asRoot('POST', '/get', { collection: 'many', keys: names });
    expect(all.body).toHaveLength(150);
  });

  it.each<[string, Record<string, unknown>, number, string]>([
    ['nothing', { where: { brand: 'None' } }, 404, 'No documents found'],
    ['a missing key', { keys: 'lp99' }, 404, 'No documents found'],
    ['count 0', { count: 0 }, 404, 'No documents found'],
    ['count over the bound', { count: 1001 }, 400, "'count' cannot exceed 1000"],
    ['an unknown member', { seq: 1 }, 400, "Unknown property: 'seq'"],
    ['both projections', { fields: ['a'], excludedFields: ['b'] }, 400, 'cannot be used together'],
    ['sort and order', { sort: ['a'], order: 'asc' }, 400, "'order' and 'sort' cannot be used"],
    ['a bad path', { sort: [{ field: 'a..b' }] }, 400, 'sort[0].field'],
    ['a bad direction', { sort: [{ field: 'a', order: 'up' }] }, 400, 'sort[0].order'],
    ['a bad order', { order: 'up' }, 400, '\'order\' must be "asc" or "desc"'],
    ['keys null', { keys: null }, 400, "'keys' must be a string"],
    ['keys of numbers', { keys: [1] }, 400, "'keys' must be a string"],
    ['an unknown operator', { where: { price: { $above: 1 } } }, 400, '$above'],
    ['a reserved collection', { collection: 'admin' }, 400, 'reserved'],
    ['a path for a name', { collection: '../x' }, 400, 'collection'],
  ])('refuses %s', async (...[, query, status, text]) => {
    const answer = await get(query);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ statusCode: status });
    expect(answer.body.error).toContain(text);
  });
});

describe('the GET routes', () => {
  it('answer documents and pages of a collection', async () => {
    const one = await server.asRoot('GET', '/collections/laptops/docs/lp1');
    expect(one.body).toMatchObject({ brand: 'Lenovo', _v: 1 });
    const page = await server.asRoot('GET', '/collections/laptops?limit=2&offset=1');
    expect(page.body.map(({ _key }: { _key: string }) => _key)).toEqual(['lp2', 'lp3']);
    expect((await server.asRoot('GET', '/collections/laptops?limit=x')).body).toHaveLength(6);
    expect((await server.asRoot('GET', '/collections/laptops?limit=2000')).status).toBe(400);
    expect((await server.asRoot('GET', '/collections/laptops/docs/lp99')).status).toBe(404);
  });
});

describe('POST /analytics', () => {
  it.each([
    ['COUNT', undefined, undefined, 6],
    ['SUM', 'price', undefined, 11_944],
    ['AVG', 'price', undefined, 11_944 / 6],
    ['avg', 'price', { in_stock: true }, (11_944 - 1899) / 5],
    ['AVG', 'price', { brand: 'None' }, null],
    ['MIN', 'price', undefined, 849],
    ['MAX', 'price', undefined, 3499],
    ['COUNT', undefined, { in_stock: true }, 5],
  ])('computes %s of %s', async (...[type, field, where, expected]) => {
    const metric = { type, ...(field === undefined ? {} : { field }) };
    const query = { collection: 'laptops', metric, ...(where === undefined ? {} : { where }) };
    const { status, body } = await server.asRoot('POST', '/analytics', query);
    expect([status, body.result]).toEqual([200, expected]);
  });
});
