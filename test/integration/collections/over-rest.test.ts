import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type RequestOptions, type TestServer } from '../../support/server.ts';

const clock = createManualClock();
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({}, { clock });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
  /** Of a refusal. */
  readonly reason: string | undefined;
}

async function request(method: string, path: string, options?: RequestOptions): Promise<Answer> {
  const response = await server.request(method, path, options);
  const body = response.body as unknown;
  const { reason } = body as { readonly reason?: string };
  return { status: response.status, body, reason };
}

async function asRoot(method: string, path: string, body?: unknown): Promise<Answer> {
  return await request(method, path, { body, token: await server.rootToken() });
}

async function make(collection: string, settings: object = {}): Promise<unknown> {
  const { status, body } = await asRoot('POST', '/v1/collections', { collection, settings });
  expect(status).toBe(200);
  return (body as { readonly collection: unknown }).collection;
}

describe('the settings of a collection', () => {
  it('come back as they were given', async () => {
    const settings = {
      schema: { type: 'object', required: ['name'] },
      schemaEnforcement: 'SCHEMA_ENFORCEMENT_WARN',
      ttl: '90.500s',
      documentTtl: { field: 'meta.at', after: '3600s' },
      maxSize: '10',
    };
    const made = await make('settings', settings);
    expect(made).toMatchObject({ name: 'settings', revision: '1', settings });
    const { body } = await asRoot('GET', '/v1/collections/settings');
    expect(body).toMatchObject({ collection: made });
  });

  it('are changed one by one by a mask', async () => {
    const schema = { required: ['name'] };
    await make('masked', { schema, schemaEnforcement: 'SCHEMA_ENFORCEMENT_WARN', ttl: '60s' });
    const change = async (updateMask: string | undefined, settings: object): Promise<unknown> => {
      const message = { settings, ...(updateMask === undefined ? {} : { updateMask }) };
      const { body } = await asRoot('PATCH', '/v1/collections/masked', message);
      return (body as { readonly collection: { readonly settings: unknown } }).collection.settings;
    };
    const warn = { schema, schemaEnforcement: 'SCHEMA_ENFORCEMENT_WARN' };
    expect(await change(undefined, { maxSize: '5' })).toMatchObject({ ...warn, maxSize: '5' });
    expect(await change('ttl', { maxSize: '9' })).toEqual({ ...warn, maxSize: '5' });
    const enforced = { schema, schemaEnforcement: 'SCHEMA_ENFORCEMENT_ENFORCE' };
    const named = { schemaEnforcement: 'SCHEMA_ENFORCEMENT_ENFORCE' };
    expect(await change('schemaEnforcement', named)).toEqual({ ...enforced, maxSize: '5' });
    expect(await change('maxSize', {})).toEqual({ ...enforced, maxSize: '0' });
    expect(await change('*', { ttl: '5s' })).toEqual({
      ...{ ttl: '5s', maxSize: '0', schemaEnforcement: 'SCHEMA_ENFORCEMENT_UNSPECIFIED' },
    });
  });

  it('have no other names', async () => {
    await make('misnamed');
    const settings = { ttl: '5s' };
    const message = { settings, updateMask: 'ttl.seconds' };
    const { status, body } = await asRoot('PATCH', '/v1/collections/misnamed', message);
    expect(status).toBe(400);
    expect(body).toMatchObject({
      ...{ reason: 'ARGUMENT_INVALID', violations: [{ field: 'updateMask' }] },
    });
  });

  it.each<[string, object, string]>([
    ['a ttl below a second', { ttl: '0.999s' }, 'ARGUMENT_INVALID'],
    ['a size that no number can be', { maxSize: '9007199254740992' }, 'ARGUMENT_INVALID'],
    [
      'a mode without a schema',
      { schemaEnforcement: 'SCHEMA_ENFORCEMENT_WARN' },
      'ARGUMENT_INVALID',
    ],
    ['a path that is none', { documentTtl: { field: 'a..b', after: '1s' } }, 'ARGUMENT_INVALID'],
    ['a remote reference', { schema: { $ref: 'http://169.254.169.254/' } }, 'SCHEMA_INVALID'],
  ])('are refused with %s', async (_, settings, reason) => {
    const message = { collection: 'refused', settings };
    expect(await asRoot('POST', '/v1/collections', message)).toMatchObject({ status: 400, reason });
    expect((await asRoot('GET', '/v1/collections/refused')).status).toBe(404);
  });

  it.each([1000, 50_000])('are refused with a schema of %i levels', async (levels) => {
    const schema = `${'{"not":'.repeat(levels)}{}${'}'.repeat(levels)}`;
    const token = await server.rootToken();
    const { status, reason } = await request('POST', '/v1/collections', {
      ...{ token, body: `{"collection":"refused","settings":{"schema":${schema}}}` },
    });
    expect(status).toBe(400);
    expect(reason).toMatch(/^(SCHEMA|ARGUMENT)_INVALID$/);
  });
});

describe('a schema', () => {
  it('keeps documents out that break it, and says where', async () => {
    await make('guarded', { schema: { properties: { n: { type: 'integer' } } } });
    const validate = async (n: unknown): Promise<unknown> => {
      const message = { body: { fields: { n } } };
      return (await asRoot('POST', '/v1/collections/guarded:validate', message)).body;
    };
    expect(await validate(1)).toMatchObject({ valid: true });
    expect(await validate('1')).toMatchObject({
      violations: [{ path: '/n', description: 'must be integer' }],
    });
  });
});

describe('a collection', () => {
  it('is made once for one request id', async () => {
    const message = { collection: 'retried', requestId: 'one' };
    const first = await asRoot('POST', '/v1/collections', message);
    expect(first.status).toBe(200);
    expect((await asRoot('POST', '/v1/collections', message)).body).toEqual(first.body);
    const { requestId: _, ...another } = message;
    const refused = await asRoot('POST', '/v1/collections', another);
    expect(refused.body).toMatchObject({ reason: 'COLLECTION_EXISTS' });
  });

  it('cannot be told from a missing one without a scope', async () => {
    await make('hidden');
    const token = await server.tokenWith(['read:others:*', 'schema:others:*', 'delete:others:*']);
    const paths = (name: string): readonly (readonly [string, string])[] => [
      ['GET', `/v1/collections/${name}`],
      ['DELETE', `/v1/collections/${name}`],
      ['GET', `/v1/collections/${name}/indexes`],
      ['GET', `/v1/collections/${name}/indexes/a`],
      ['DELETE', `/v1/collections/${name}/indexes/a`],
    ];
    for (const name of ['hidden', 'missing']) {
      for (const [method, path] of paths(name)) {
        const { status, reason } = await request(method, path, { token });
        expect({ status, reason }).toEqual({
          ...{ status: 403, reason: 'SCOPE_MISSING' },
        });
      }
    }
  });

  it('is listed page by page to those who may read it whole', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) await make(name);
    const token = await server.tokenWith(['read:page-a:*', 'read:page-c:*', 'read:page-b:x*']);
    interface Page {
      readonly collections: readonly { readonly name: string }[];
      readonly nextPageToken?: string;
    }
    const page = async (pageToken: string): Promise<Page> => {
      const path = `/v1/collections?pageSize=1&pageToken=${encodeURIComponent(pageToken)}`;
      return (await request('GET', path, { token })).body as Page;
    };
    const first = await page('');
    expect(first.collections.map(({ name }) => name)).toEqual(['page-a']);
    const second = await page(first.nextPageToken ?? '');
    expect(second.collections.map(({ name }) => name)).toEqual(['page-c']);
    expect(second.nextPageToken ?? '').toBe('');
    expect(await page('forged')).toMatchObject({ reason: 'PAGE_TOKEN_INVALID' });
  });

  it('is empty for everybody once its ttl has passed', async () => {
    await make('brief', { ttl: '10s' });
    const document = '/v1/collections/brief/documents/a';
    expect((await asRoot('PUT', document, { body: { fields: { n: 1 } } })).status).toBe(200);
    clock.advance(10_000);
    expect((await asRoot('GET', document)).status).toBe(404);
    const { body } = await asRoot('GET', '/v1/collections/brief');
    expect(body).toMatchObject({ collection: { expired: true } });
    expect((await asRoot('PUT', document, { body: { fields: { n: 2 } } })).status).toBe(200);
    const after = await asRoot('GET', '/v1/collections/brief');
    expect(after.body).toMatchObject({ collection: { documentCount: '1' } });
  });
});

describe('the server', () => {
  it('tells everybody whether it serves, and administrators how it does', async () => {
    const health = await request('GET', '/v1/health');
    expect(health.body).toEqual({ state: 'SERVING_STATE_READY' });
    expect((await request('GET', '/v1/status')).status).toBe(401);
    const token = await server.tokenWith(['read:*:*', 'admin:things:*']);
    expect((await request('GET', '/v1/status', { token })).status).toBe(403);
    const before = await asRoot('GET', '/v1/status');
    await make('counted');
    const after = await asRoot('GET', '/v1/status');
    const count = (body: unknown): number =>
      Number((body as { readonly collectionCount: string }).collectionCount);
    expect(count(after.body) - count(before.body)).toBe(1);
    expect(after.body).toMatchObject({ state: 'SERVING_STATE_READY', writeMode: 'async' });
  });

  it('takes a snapshot for administrators', async () => {
    const token = await server.tokenWith(['read:*:*']);
    const refused = await request('POST', '/v1/snapshots', { token, body: {} });
    expect(refused.status).toBe(403);
    const { status, body } = await asRoot('POST', '/v1/snapshots', { wait: '60s' });
    expect(status).toBe(200);
    const { snapshot } = body as { readonly snapshot: { readonly name: string } };
    expect(snapshot.name).toMatch(/^\d{8}T\d{9}Z-\d{16}$/);
  });
});
