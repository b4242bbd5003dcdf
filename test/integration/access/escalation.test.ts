import { describe, expect, it } from 'vitest';

import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';

function delegate(
  server: TestServer,
  token: string,
  body: { readonly scopes: readonly string[]; readonly clientId?: string; readonly ttl?: string },
): Promise<TestResponse> {
  return server.request('POST', '/v1/tokens', { token, body: { clientId: 'x', ...body } });
}

function endOf({ body }: TestResponse): number {
  return Date.parse(body.principal.expireTime);
}

describe('a delegated token', () => {
  it('never becomes the root user by its name', async () => {
    await using server = await startTestServer();
    const admin = await server.tokenWith(['admin:*:*'], 'ops');
    const named = await delegate(server, admin, { scopes: ['admin:*:*'], clientId: 'root' });
    expect(named.status).toBe(200);
    const all = await delegate(server, named.body.token, { scopes: ['*:*:*'] });
    expect([all.status, all.body.reason]).toEqual([403, 'SCOPE_MISSING']);
  });

  it('gives away nothing that it does not hold', async () => {
    await using server = await startTestServer();
    const scopes = ['schema:*:*', 'read:c:eu-*', 'write:d:one'];
    const token = await server.tokenWith(scopes);
    const statuses = [];
    for (const scope of [
      ...[
        'schema:*:*',
        'schema:c:*',
        'read:c:eu-*',
        'read:c:eu-1',
        'read:c:eu-at-*',
        'write:d:one',
      ],
      ...['read:*:*', 'read:c:*', 'read:c:e*', 'read:c:us-1', 'write:d:two', 'delete:d:one'],
    ]) {
      statuses.push((await delegate(server, token, { scopes: [scope] })).status);
    }
    expect(statuses).toEqual([...Array<number>(6).fill(200), ...Array<number>(6).fill(403)]);
  });

  it('gives nothing that outlives its own grant', async () => {
    await using server = await startTestServer();
    const year = '31622400s';
    const first = await delegate(server, await server.rootToken(), { scopes: ['admin:*:*'] });
    const long = await delegate(server, await server.rootToken(), {
      ...{ scopes: ['admin:*:*'], ttl: year },
    });
    const grantMs = 30 * 24 * 3_600_000;
    expect(endOf(long) - Date.now()).toBeGreaterThan(grantMs * 10);
    const second = await delegate(server, first.body.token, { scopes: ['admin:*:*'], ttl: year });
    expect(endOf(second) - Date.now()).toBeLessThanOrEqual(grantMs);
    const third = await delegate(server, second.body.token, { scopes: ['admin:*:*'], ttl: year });
    expect(endOf(third)).toBe(endOf(second));
  });
});

describe('who may only write', () => {
  it('is shown nothing of what is there', async () => {
    await using server = await startTestServer();
    const path = '/v1/collections/c/documents/k';
    await server.asRoot('PUT', path, { body: { fields: { secret: 'S3CRET' } } });
    const token = await server.tokenWith(['write:c:k', 'delete:c:k']);
    const change = { merge: { n: 1 } };
    const test = { patch: [{ op: 'test', path: '/secret', value: 'x' }] };
    const matching = '/v1/collections/c/documents:deleteMatching';
    const calls: readonly (readonly [string, string, object])[] = [
      ['PATCH', path, { change, returnDocument: true }],
      ['PATCH', path, { change: test }],
      ['POST', matching, { where: { secret: { $startsWith: 's3' } }, validateOnly: true }],
    ];
    for (const [method, url, body] of calls) {
      const answer = await server.request(method, url, { token, body });
      expect([answer.status, answer.body.reason]).toEqual([403, 'SCOPE_MISSING']);
      expect(answer.text).not.toContain('S3CRET');
    }
    expect((await server.request('PATCH', path, { token, body: { change } })).status).toBe(200);
  });
});

describe('the compatibility routes', () => {
  it('change no rule when the documents beside it are refused', async () => {
    await using server = await startTestServer();
    await server.asRoot('POST', '/v1/collections/c/documents:batchSet', {
      writes: [{ key: 'a', body: { fields: { e: 1 } } }],
    });
    const index = { index: 'by-e', fields: [{ path: 'e' }], unique: true };
    expect((await server.asRoot('POST', '/v1/collections/c/indexes', index)).status).toBe(200);
    const set = { collection: 'c', ttl: 1, maxSize: 1, data: { z: { e: 1 } } };
    expect((await server.asRoot('POST', '/set', set)).status).toBe(409);
    const { body } = await server.asRoot('GET', '/v1/collections/c');
    expect(body.collection.settings).not.toHaveProperty('ttl');
    expect(body.collection.settings.maxSize).toBe('0');
  });

  it('refuse a body of wrong types before it can do something else', async () => {
    await using server = await startTestServer();
    for (const key of ['a', 'b']) {
      await server.asRoot('PUT', `/v1/collections/c/documents/${key}`, { body: { fields: {} } });
    }
    const bodies: readonly (readonly [string, object])[] = [
      ['/delete', { collection: 'c', count: null }],
      ['/delete', { collection: 'c', count: '1' }],
      ['/delete', { collection: 'c', count: -1 }],
      ['/delete', { collection: 'c', count: 1, order: 'newest' }],
      ['/delete', { collection: 'c', keys: null, where: {} }],
      ['/delete', { collection: null, drop: true }],
      ['/set', { collection: 5, data: { a: {} } }],
      ['/set', { collection: 'c', data: { '': {} } }],
      ['/analytics', { collection: 'c', metric: { type: { toString: 1 } } }],
    ];
    for (const [path, body] of bodies) {
      const answer = await server.asRoot('POST', path, body);
      expect([path, answer.status]).toEqual([path, 400]);
    }
    const scopes = { client_id: 'x', scopes: [{ toString: 1 }] };
    expect((await server.asRoot('POST', '/auth/delegate', scopes)).status).toBe(422);
    const { body } = await server.asRoot('GET', '/v1/collections/c');
    expect(body.collection.documentCount).toBe('2');
  });
});
