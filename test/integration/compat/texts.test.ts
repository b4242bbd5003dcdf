/** What MoltenDB 1.0 says, word for word: a client may have been written for any of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seedLaptops } from '../../support/laptops.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await seedLaptops(server);
  const ttl = { collection: 'kept', data: { a: { n: 1 } }, maxSize: 5 };
  await server.asRoot('POST', '/set', ttl);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** Whose token is shown: none, that of root, or one with these scopes. */
type Who = 'nobody' | 'root' | readonly string[];

interface Case {
  readonly who: Who;
  readonly request: readonly [method: string, path: string, body?: unknown];
  readonly status: number;
  readonly body: unknown;
}

const reader = ['read:laptops:*'];
const narrow = ['read:laptops:lp1'];
const lp1 = '/collections/laptops/docs/lp1';
const laptops = { collection: 'laptops' };
const RESERVED =
  "Fields starting with '_' are reserved for internal use and cannot be set by the client.";
const UNKNOWN = "Unknown property: 'upsert'. Check the API docs for supported properties";
const TTL = "'ttl' must be a non-negative integer (seconds)";
const MAX_SIZE = "'maxSize' must be a positive integer";

/** An error of the data handlers. */
function fault(status: number, error: string): Pick<Case, 'status' | 'body'> {
  return { status, body: { error, statusCode: status } };
}

/** An error of the auth layer. */
function plain(status: number, error: string): Pick<Case, 'status' | 'body'> {
  return { status, body: { error } };
}

function done(body: object): Pick<Case, 'status' | 'body'> {
  return { status: 200, body };
}

function post(who: Who, path: string, body?: unknown): Pick<Case, 'who' | 'request'> {
  return { who, request: ['POST', path, body] };
}

const text = expect.any(String);
const keys = Object.fromEntries(Array.from({ length: 1001 }, (_, at) => [`k${String(at)}`, {}]));

const AUTH: readonly Case[] = [
  {
    ...{ who: 'nobody', request: ['GET', lp1] },
    ...plain(401, 'Missing or invalid Authorization header'),
  },
  { ...post('nobody', '/login', ROOT), ...done({ token: text }) },
  {
    ...post('nobody', '/login', { ...ROOT, password: 'no' }),
    ...plain(401, 'Invalid credentials'),
  },
  {
    ...post(reader, '/auth/delegate', { client_id: 'c', scopes: [] }),
    ...plain(403, 'Admin access required to delegate tokens'),
  },
  {
    ...post(['*:*:*'], '/auth/delegate', { client_id: 'c', scopes: ['*:*:*'] }),
    ...plain(403, "Only the root user can mint '*:*:*' (admin) tokens"),
  },
  {
    ...post('root', '/auth/delegate', { client_id: 'c', scopes: ['read:laptops'] }),
    ...plain(400, "Invalid scope 'read:laptops'. Expected format: 'action:collection:key'"),
  },
  {
    ...post('root', '/auth/delegate', { client_id: 'c', scopes: reader }),
    ...done({ token: text, client_id: 'c', scopes: reader, jti: text }),
  },
  {
    ...post('root', '/auth/refresh'),
    ...plain(403, 'Admin tokens cannot be refreshed. Delegate a new token instead.'),
  },
  {
    ...post(reader, '/auth/refresh', { ttl_secs: 60 }),
    ...done({ token: text, jti: text, expires_in: 60 }),
  },
  {
    ...{ who: reader, request: ['DELETE', '/auth/tokens/some-jti', {}] },
    ...plain(403, 'Admin access required to revoke tokens'),
  },
  {
    ...{ who: 'root', request: ['DELETE', '/auth/tokens/%20', {}] },
    ...plain(400, 'jti must not be empty'),
  },
  { ...post(reader, '/snapshot'), ...plain(403, 'Forbidden: snapshot requires admin scope') },
  {
    ...{ who: reader, request: ['GET', '/system/metrics'] },
    ...plain(403, 'Admin access required'),
  },
  {
    ...post(reader, '/set', { ...laptops, data: { a: {} } }),
    ...plain(403, "Forbidden: token requires 'write:laptops:*' scope"),
  },
  {
    ...post(reader, '/update', { ...laptops, data: { a: {} } }),
    ...plain(403, "Forbidden: token requires 'write:laptops:*' scope"),
  },
  {
    ...post(reader, '/delete', { ...laptops, keys: 'lp1' }),
    ...plain(403, "Forbidden: token requires 'delete:laptops:*' scope"),
  },
  {
    ...post(narrow, '/get', { ...laptops, keys: ['lp1', 'lp2'] }),
    ...plain(403, "Forbidden: token lacks 'read:laptops:lp2' scope"),
  },
  {
    ...{ who: narrow, request: ['GET', '/collections/laptops/docs/lp2'] },
    ...plain(403, "Forbidden: token lacks 'read:laptops:lp2' scope"),
  },
  {
    ...post(reader, '/get', { collection: 'memory' }),
    ...plain(403, "Forbidden: token has no read access to collection 'memory'"),
  },
];

const WRITES: readonly Case[] = [
  { ...post('root', '/set', { data: { a: {}, b: {} } }), ...done({ status: 'ok', count: 2 }) },
  {
    ...post('root', '/set', { data: [{}, {}] }),
    ...done({ status: 'ok', count: 2, ids: [text, text] }),
  },
  { ...post('root', '/set', { data: {}, upsert: true }), ...fault(400, UNKNOWN) },
  { ...post('root', '/set', { data: {}, ttl: 1.5 }), ...fault(400, TTL) },
  { ...post('root', '/set', { data: {}, maxSize: 0 }), ...fault(400, MAX_SIZE) },
  { ...post('root', '/set', { data: { a: { _v: 1 } } }), ...fault(400, RESERVED) },
  { ...post('root', '/set', {}), ...fault(400, "Missing 'data' (object or array)") },
  {
    ...post('root', '/set', { data: keys }),
    ...fault(400, 'Too many keys in single request (max 1000)'),
  },
  {
    ...post('root', '/get', { keys: Object.keys(keys) }),
    ...fault(400, 'Too many keys in single request (max 1000)'),
  },
  {
    ...post('root', '/set', { data: { a: 'x'.repeat(10 * 1024 * 1024) } }),
    ...fault(413, 'Payload too large (max 10MB)'),
  },
  {
    ...post('root', '/update', { collection: 'kept', data: { a: { m: 1 }, none: {} } }),
    ...done({ status: 'ok', updated: 1 }),
  },
  { ...post('root', '/update', { data: [] }), ...fault(400, "Missing 'data' map") },
  { ...post('root', '/update', { data: { a: { _key: 'b' } } }), ...fault(400, RESERVED) },
  {
    ...post('root', '/update', { collection: 'kept', data: { a: { _v: 99 } } }),
    ...fault(409, 'Conflict: Document version is outdated'),
  },
  {
    ...post('root', '/delete', laptops),
    ...fault(400, "Missing 'keys' (string or array) or 'drop': true"),
  },
  {
    ...post('root', '/delete', { ...laptops, count: 1001 }),
    ...fault(400, "'count' cannot exceed 1000"),
  },
  {
    ...post('root', '/delete', { collection: 'none', keys: 'a' }),
    ...done({ status: 'ok', deleted: 0 }),
  },
  {
    ...post('root', '/delete', { collection: 'none', drop: true }),
    ...done({ status: 'ok', dropped: true }),
  },
];

const READS: readonly Case[] = [
  {
    ...post('root', '/get', { ...laptops, where: { brand: 'None' } }),
    ...fault(404, 'No documents found'),
  },
  {
    ...{ who: 'root', request: ['GET', '/collections/laptops/docs/lp99'] },
    ...fault(404, 'No documents found'),
  },
  {
    ...{ who: 'root', request: ['GET', '/collections/nowhere'] },
    ...fault(404, 'No documents found'),
  },
  {
    ...post('root', '/get', { ...laptops, fields: ['a'], excludedFields: ['b'] }),
    ...fault(400, "'fields' and 'excludedFields' cannot be used together"),
  },
  {
    ...post('root', '/get', { ...laptops, sort: ['a'], order: 'asc' }),
    ...fault(400, "'order' and 'sort' cannot be used together"),
  },
  {
    ...post('root', '/get', { ...laptops, order: 'up' }),
    ...fault(400, '\'order\' must be "asc" or "desc"'),
  },
  {
    ...post('root', '/get', { ...laptops, count: 1001 }),
    ...fault(400, "'count' cannot exceed 1000"),
  },
  {
    ...{ who: 'root', request: ['GET', '/collections/laptops?limit=1001'] },
    ...fault(400, "'count' cannot exceed 1000"),
  },
  {
    ...post('root', '/get', { ...laptops, seq: 1 }),
    ...fault(400, "Unknown property: 'seq'. Check the API docs for supported properties"),
  },
];

const OTHERS: readonly Case[] = [
  { ...post('root', '/schema', { schema: {} }), ...fault(400, "Missing 'collection' name") },
  {
    ...post('root', '/schema', { collection: 'kept' }),
    ...fault(400, "At least one of 'schema', 'ttl', or 'maxSize' must be provided"),
  },
  { ...post('root', '/schema', { collection: 'kept', ttl: -1 }), ...fault(400, TTL) },
  { ...post('root', '/schema', { collection: 'kept', maxSize: 0 }), ...fault(400, MAX_SIZE) },
  {
    ...post('root', '/schema', { collection: 'kept', schema: { type: 'no such type' } }),
    ...fault(400, expect.stringMatching(/^Invalid Schema: /) as string),
  },
  {
    ...post('root', '/schema', { collection: 'kept', maxSize: 5 }),
    ...done({ status: 'ok', collection: 'kept' }),
  },
  {
    ...post('root', '/stats', { collection: 'kept' }),
    ...done({ collection: 'kept', count: 1, maxSize: 5 }),
  },
  { ...post('root', '/stats', { collection: 'nowhere' }), ...fault(404, 'Collection not found') },
  {
    ...post('root', '/snapshot'),
    ...done({ status: 'ok', message: 'Snapshot taken successfully' }),
  },
  {
    ...{ who: 'nobody', request: ['GET', '/system/health'] },
    ...done({ status: 'ok', message: 'MoltenDB is running' }),
  },
];

async function tokenOf(who: Who): Promise<string | undefined> {
  if (who === 'nobody') return undefined;
  return who === 'root' ? await server.rootToken() : await server.tokenWith(who);
}

const ALL = [...AUTH, ...WRITES, ...READS, ...OTHERS].map((one) => {
  const [method, path, sent] = one.request;
  const shown = sent === undefined ? '' : JSON.stringify(sent).slice(0, 60);
  return { ...one, title: `${String(one.status)} to ${method} ${path} ${shown}` };
});

describe('the words of MoltenDB', () => {
  it.each(ALL)('$title', async ({ who, request: [method, path, sent], status, body }) => {
    const token = await tokenOf(who);
    const answer = await server.request(method, path, {
      ...(token === undefined ? {} : { token }),
      ...(sent === undefined ? {} : { body: sent }),
    });
    expect(answer.body).toEqual(body);
    expect(answer.status).toBe(status);
  });

  it('tell of tokens that are expired, forged or revoked', async () => {
    const ask = async (token: string): Promise<unknown> =>
      (await server.request('GET', lp1, { token })).body;
    const made = await server.asRoot('POST', '/auth/delegate', { client_id: 'c', scopes: reader });
    const { token, jti } = made.body as { readonly token: string; readonly jti: string };
    expect(await ask(`${token}x`)).toEqual({ error: 'Invalid or expired token' });
    const revoked = await server.asRoot('DELETE', `/auth/tokens/${jti}`, {});
    const message = 'Token has been revoked successfully';
    expect(revoked.body).toEqual({ revoked: jti, message });
    expect(await ask(token)).toEqual({ error: 'Token has been revoked' });
  });

  it('tell of the rate limit', async () => {
    await using slow = await startTestServer({ rateLimit: { requests: 1, windowMs: 60_000 } });
    await slow.request('GET', '/system/health');
    const { status, body } = await slow.request('GET', '/system/health');
    const error = 'Rate limit exceeded';
    expect(body).toEqual({ error, limit: 1, retry_after_seconds: expect.any(Number) });
    expect(status).toBe(429);
  });
});

describe('a payload of many levels', () => {
  const nested = (levels: number): unknown =>
    JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`);

  it('is taken down to level 32 below its root, and no further', async () => {
    const set = async (document: unknown): Promise<{ status: number; body: unknown }> =>
      await server.asRoot('POST', '/set', { collection: 'deep', data: { k: document } });
    expect((await set(nested(30))).status).toBe(200);
    const { status, body } = await set(nested(31));
    const error = 'JSON nesting too deep (max 32 levels)';
    expect([status, body]).toEqual([400, { error, statusCode: 400 }]);
  });
});
