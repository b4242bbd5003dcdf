import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seedLaptops } from '../../support/laptops.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await seedLaptops(server);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const LEVELS = {
  documents: ['read:laptops:lp1', 'read:laptops:lp2'],
  prefix: ['read:laptops:store_A_*'],
  reader: ['read:laptops:*'],
  writer: ['read:laptops:*', 'write:laptops:*'],
  editor: ['read:laptops:*', 'write:laptops:*', 'delete:laptops:*'],
  auditor: ['read:*:*'],
  admin: ['*:*:*'],
} as const;

const lp1 = '/collections/laptops/docs/lp1';
const get = (body: object): readonly [string, string, object] => [
  'POST',
  '/get',
  { collection: 'laptops', ...body },
];
const set = (key: string, collection = 'laptops'): readonly [string, string, object] => [
  ...(['POST', '/set'] as const),
  { collection, data: { [key]: { brand: 'New' } } },
];

describe('the six privilege levels', () => {
  it.each<[keyof typeof LEVELS, readonly [string, string, object?], number]>([
    ['documents', ['GET', lp1], 200],
    ['documents', ['GET', '/collections/laptops/docs/lp3'], 403],
    ['documents', get({ keys: 'lp2' }), 200],
    ['documents', get({ keys: 'lp99' }), 403],
    ['documents', get({ keys: null }), 400],
    ['documents', get({ keys: 7 }), 400],
    ['documents', get({ keys: {} }), 400],
    ['documents', set('lp1'), 403],
    ['prefix', ['GET', lp1], 403],
    ['prefix', ['GET', '/collections/laptops/docs/store_A_001'], 404],
    ['prefix', set('store_A_999'), 403],
    ['reader', ['GET', lp1], 200],
    ['reader', ['GET', '/collections/laptops?limit=5&offset=0'], 200],
    ['reader', get({ fields: ['brand'] }), 200],
    ['reader', ['POST', '/get', { collection: 'memory' }], 403],
    ['reader', set('lp1'), 403],
    ['writer', ['GET', lp1], 200],
    ['writer', set('lp_new'), 200],
    ['writer', ['POST', '/update', { collection: 'laptops', key: 'lp_new', data: {} }], 400],
    [
      'writer',
      ['POST', '/update', { collection: 'laptops', data: { lp_new: { brand: 'x' } } }],
      200,
    ],
    ['writer', ['POST', '/delete', { collection: 'laptops', keys: 'lp_new' }], 403],
    ['writer', set('x', 'memory'), 403],
    ['editor', set('lp_temp'), 200],
    ['editor', ['POST', '/delete', { collection: 'laptops', key: 'lp_temp' }], 400],
    ['editor', ['POST', '/delete', { collection: 'laptops', keys: 'lp_temp' }], 200],
    ['editor', ['POST', '/snapshot'], 403],
    ['auditor', get({}), 200],
    ['auditor', ['POST', '/get', { collection: 'memory' }], 200],
    ['auditor', ['GET', lp1], 200],
    ['auditor', set('x'), 403],
    ['admin', ['GET', lp1], 200],
    ['admin', set('lp_admin'), 200],
    ['admin', ['POST', '/delete', { collection: 'laptops', keys: 'lp_admin' }], 200],
    ['admin', ['POST', '/snapshot'], 200],
    ['admin', ['POST', '/auth/delegate', { client_id: 'c', scopes: ['read:laptops:*'] }], 200],
    ['reader', ['DELETE', '/auth/tokens/some-jti', {}], 403],
    ['reader', ['GET', '/system/metrics'], 403],
    ['admin', ['GET', '/system/metrics'], 200],
  ])('%s: %j gives %i', async (level, [method, path, body], status) => {
    const token = await server.tokenWith(LEVELS[level]);
    const answer = await server.request(method, path, { token, ...(body ? { body } : {}) });
    expect(answer.status).toBe(status);
  });

  it('show lists, joins, counts and figures only of what is granted', async () => {
    const token = await server.tokenWith(LEVELS.documents);
    const ask = async (body: object, path = '/get'): Promise<unknown> =>
      (await server.request('POST', path, { token, body: { collection: 'laptops', ...body } }))
        .body;
    const list = (await ask({ fields: ['brand'] })) as { _key: string }[];
    expect(list.map(({ _key }) => _key)).toEqual(['lp1', 'lp2']);
    const joined = { joins: [{ ram: { from: 'memory', on: 'memory_id' } }], keys: ['lp1'] };
    expect(((await ask(joined)) as object[])[0]).not.toHaveProperty('ram');
    expect(await ask({ metric: { type: 'COUNT' } }, '/analytics')).toEqual({ result: 2 });
    await server.asRoot('POST', '/set', { collection: 'laptops', data: { store_A_1: {} } });
    const prefixed = await server.tokenWith(LEVELS.prefix);
    const found = await server.request('POST', '/get', {
      token: prefixed,
      body: { collection: 'laptops' },
    });
    expect(found.body.map(({ _key }: { _key: string }) => _key)).toEqual(['store_A_1']);
    await server.asRoot('POST', '/delete', { collection: 'laptops', keys: 'store_A_1' });
  });

  it('grant writes and deletes of single documents', async () => {
    const token = await server.tokenWith(['write:own:me_*', 'delete:own:me_1']);
    const send = async (path: string, body: object): Promise<number> =>
      (await server.request('POST', path, { token, body: { collection: 'own', ...body } })).status;
    expect(await send('/set', { data: { me_1: {}, me_2: {} } })).toBe(200);
    expect(await send('/set', { data: { me_1: {}, you: {} } })).toBe(403);
    expect(await send('/set', { data: [{}] })).toBe(403);
    expect(await send('/delete', { keys: 'me_1' })).toBe(200);
    expect(await send('/delete', { keys: 'me_2' })).toBe(403);
    expect(await send('/delete', { drop: true })).toBe(403);
    expect((await server.asRoot('POST', '/get', { collection: 'own' })).body).toHaveLength(1);
  });
});

describe('tokens', () => {
  it.each<[string, Record<string, string>, string]>([
    ['no header', {}, 'Missing or invalid Authorization header'],
    ['another scheme', { authorization: 'Basic x' }, 'Missing or invalid Authorization header'],
    ['rubbish', { authorization: 'Bearer rubbish' }, 'Invalid or expired token'],
  ])('refuse %s before anything else', async (_, headers, error) => {
    for (const [method, path] of [
      ...[
        ['POST', '/get'],
        ['POST', '/set'],
        ['POST', '/update'],
        ['POST', '/delete'],
      ],
      ...[
        ['POST', '/schema'],
        ['GET', '/stats'],
        ['POST', '/snapshot'],
        ['GET', '/system/metrics'],
      ],
      ...[
        ['POST', '/auth/delegate'],
        ['POST', '/auth/refresh'],
        ['GET', lp1],
        ['POST', '/analytics'],
      ],
    ] as const) {
      const body = method === 'POST' ? { body: {} } : {};
      const answer = await server.request(method, path, { headers, ...body });
      expect([path, answer.status, answer.body]).toEqual([path, 401, { error }]);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
  });

  it('beyond the rate limit are told when to come again', async () => {
    await using slow = await startTestServer({ rateLimit: { requests: 1, windowMs: 60_000 } });
    await slow.request('POST', '/login', { body: ROOT });
    const { status, body, headers } = await slow.request('POST', '/login', { body: ROOT });
    expect([status, body.error]).toEqual([429, 'Rate limit exceeded']);
    expect(headers.get('retry-after')).toBe(String(body.retry_after_seconds));
  });

  it('log in, are refused with one answer, and end when revoked', async () => {
    const login = await server.request('POST', '/login', { body: ROOT });
    expect(login.status).toBe(200);
    expect(Object.keys(login.body)).toEqual(['token']);
    for (const body of [
      { ...ROOT, password: 'no' },
      { username: 'nobody', password: 'no' },
    ]) {
      const refused = await server.request('POST', '/login', { body });
      expect([refused.status, refused.body]).toEqual([401, { error: 'Invalid credentials' }]);
    }
    const made = await server.asRoot('POST', '/auth/delegate', {
      ...{ client_id: 'c', scopes: ['read:laptops:*'], ttl_secs: 60 },
    });
    const { token, jti } = made.body as { token: string; jti: string };
    expect(made.body).toEqual({ token, jti, client_id: 'c', scopes: ['read:laptops:*'] });
    expect((await server.request('GET', lp1, { token })).status).toBe(200);
    const revoked = await server.asRoot('DELETE', `/auth/tokens/${jti}`, { exp: 1 });
    expect(revoked.body).toMatchObject({ revoked: jti });
    const after = await server.request('GET', lp1, { token });
    expect([after.status, after.body]).toEqual([401, { error: 'Token has been revoked' }]);
  });

  it('are refreshed once, never beyond the grant, and never for administrators', async () => {
    const token = await server.tokenWith(['read:laptops:*']);
    const body = { ttl_secs: 10_000_000_000 };
    const fresh = await server.request('POST', '/auth/refresh', { token, body });
    expect(fresh.status).toBe(400);
    const refreshed = await server.request('POST', '/auth/refresh', {
      token,
      body: { ttl_secs: 60 },
    });
    expect(refreshed.body.expires_in).toBe(60);
    expect((await server.request('GET', lp1, { token: refreshed.body.token })).status).toBe(200);
    expect((await server.request('GET', lp1, { token })).status).toBe(401);
    expect((await server.request('POST', '/auth/refresh', { token })).status).toBe(401);
    const admin = await server.asRoot('POST', '/auth/refresh');
    expect([admin.status, admin.body.error]).toEqual([
      403,
      'Admin tokens cannot be refreshed. Delegate a new token instead.',
    ]);
  });

  it.each([
    [['*:*:*'], 403, "Only the root user can mint '*:*:*' (admin) tokens"],
    [['read:laptops'], 400, "Invalid scope 'read:laptops'"],
    [['fly:laptops:*'], 400, 'fly'],
    [['*:laptops:*'], 400, '*:laptops:*'],
  ])(
    'are not delegated with %j by an administrator who is not root',
    async (...[scopes, status, error]) => {
      const token = await server.tokenWith(['*:*:*'], 'deputy');
      const body = { client_id: 'c', scopes };
      const answer = await server.request('POST', '/auth/delegate', { token, body });
      expect(answer.status).toBe(status);
      expect(answer.body.error).toContain(error);
    },
  );
});

describe('hostile bodies', () => {
  const deep = `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`;
  it.each<[string, string, number]>([
    ['no JSON', '{', 400],
    ['nothing', '', 400],
    ['a list', '[]', 400],
    ['text', '"x"', 400],
    ['null', 'null', 400],
    ['deep nesting', `{"data":{"k":${deep}}}`, 400],
    ['a deep filter', `{"where":${deep}}`, 400],
    ['half of a surrogate pair', '{"data":{"k":{"a":"\\ud800"}}}', 400],
    ['a huge key', `{"data":{"${'k'.repeat(300)}":{}}}`, 400],
    ['a huge number', '{"data":{"k":{"a":1e999}}}', 400],
    ['a body beyond the bound', `{"data":{"k":{"a":"${'x'.repeat(11 * 1024 * 1024)}"}}}`, 413],
    ['a document beyond the bound', `{"data":{"k":{"a":"${'x'.repeat(2 * 1024 * 1024)}"}}}`, 413],
  ])('of %s get a clear answer on every route', async (name, body, status) => {
    const token = await server.rootToken();
    for (const path of [
      '/set',
      '/update',
      '/get',
      '/delete',
      '/schema',
      '/analytics',
      '/auth/delegate',
    ]) {
      const answer = await server.request('POST', path, { token, body });
      // An update of what does not exist looks no further: it answers that it changed nothing.
      if (path === '/update' && answer.status === 200) continue;
      expect([path, Math.floor(answer.status / 100)]).toEqual([path, 4]);
      expect(typeof answer.body.error).toBe('string');
    }
    const path = name.includes('filter') ? '/get' : '/set';
    expect((await server.request('POST', path, { token, body })).status).toBe(status);
  });

  it('keep `__proto__` as the member it is', async () => {
    const token = await server.rootToken();
    const body = '{"collection":"odd","data":{"k":{"__proto__":{"admin":true},"a":1}}}';
    expect((await server.request('POST', '/set', { token, body })).status).toBe(200);
    const { text, body: found } = await server.asRoot('POST', '/get', {
      collection: 'odd',
      keys: 'k',
    });
    expect(text).toContain('"__proto__":{"admin":true}');
    expect(found.admin).toBeUndefined();
  });

  it('of another type are not read', async () => {
    const token = await server.rootToken();
    const headers = { 'content-type': 'text/plain' };
    const answer = await server.request('POST', '/set', { token, body: '{}', headers });
    expect([answer.status, answer.body.statusCode]).toEqual([415, 415]);
  });
});
