import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import { ROOT, startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import { connectAll, WAYS } from '../protocol/clients.ts';

const WINDOW_MS = 600_000;
const { rates: NO_RATES } = testConfig('');

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return await call.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: unknown) => ConnectError.from(error),
  );
}

function health(server: TestServer, headers: Record<string, string> = {}): Promise<number> {
  return server.request('GET', '/v1/health', { headers }).then(({ status }) => status);
}

const PAGE = 'https://app.example.org';
const FOREIGN = 'https://evil.example.org';
const BEHIND = '198.51.100.77';

async function preflight(server: TestServer): Promise<number> {
  const headers = {
    ...{ 'x-forwarded-for': BEHIND, origin: PAGE, 'access-control-request-method': 'GET' },
  };
  const answer = await fetch(`${server.url}/v1/health`, { method: 'OPTIONS', headers });
  return answer.status;
}

async function status(server: TestServer, path: string): Promise<number> {
  const answer = await fetch(`${server.url}${path}`, { headers: { 'x-forwarded-for': BEHIND } });
  if (answer.status === 429) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  return answer.status;
}

/** The status with which a handshake is refused. */
async function handshake(server: TestServer, path: string, origin?: string): Promise<number> {
  const headers = { 'x-forwarded-for': BEHIND };
  const url = `${server.url.replace('http', 'ws')}${path}`;
  const socket = new WebSocket(url, { headers, ...(origin === undefined ? {} : { origin }) });
  const { message } = await new Promise<Error>((resolve) => socket.once('error', resolve));
  return Number(/\d{3}$/.exec(message)?.[0]);
}

describe('an address beyond its limit', () => {
  let shared: TestServer;
  beforeAll(async () => {
    shared = await startTestServer({
      ...{ rateLimit: { requests: 1, windowMs: WINDOW_MS }, trustedProxies: ['127.0.0.1'] },
    });
  });
  afterAll(async () => {
    await shared[Symbol.asyncDispose]();
  });

  it.each(WAYS.map((way, at) => ({ name: way.name, way, at })))(
    'is told so, and when to come again: $name',
    async ({ way, at }) => {
      const headers = { 'x-forwarded-for': `198.51.100.${String(at)}` };
      const transport = way.connect(shared.url);
      const { system, health: probe } = connectAll(way, shared.url);
      await system.getHealth({}, { headers });
      const error = await failureOf(system.getHealth({}, { headers }));
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(error.rawMessage).toContain('more than 1 requests in 600 s from this address');
      const [retry] = error.findDetails(RetryInfoSchema);
      expect(Number(retry?.retryDelay?.seconds)).toBeGreaterThan(0);
      expect(Number(error.metadata.get('retry-after'))).toBeGreaterThan(0);
      expect(error.metadata.get('ratelimit-policy')).toBe('"address";q=1;w=600');
      // What is answered without a service is counted, and refused, all the same; and so are streams.
      const other = await failureOf(probe.check({}, { headers }));
      expect(other.code).toBe(Code.ResourceExhausted);
      const stream = createClient(WatchService, transport).watch({}, { headers });
      const ended = await failureOf(stream[Symbol.asyncIterator]().next());
      expect(ended.code).toBe(Code.ResourceExhausted);
    },
  );

  it('is refused by every route of HTTP, in the words of each, with the standard fields', async () => {
    await using server = await startTestServer({ rateLimit: { requests: 1, windowMs: WINDOW_MS } });
    const first = await server.request('GET', '/v1/health');
    expect(first.headers.get('ratelimit')).toMatch(/^"address";r=0;t=\d+$/);
    const routes: readonly [string, string, unknown][] = [
      ['GET', '/v1/health', { reason: 'RATE_LIMITED' }],
      ['GET', '/no/such/path', { reason: 'RATE_LIMITED' }],
      ['POST', '/login', { error: 'Rate limit exceeded', limit: 1 }],
      ['GET', '/system/health', { error: 'Rate limit exceeded', limit: 1 }],
      ['POST', '/v1/auth/login', { error: 'rate limit exceeded' }],
      ['POST', '/api/v1/auth/login', {}],
      ['GET', '/.well-known/jwks.json', { error: 'temporarily_unavailable' }],
      ['GET', '/session', { reason: 'RATE_LIMITED' }],
      ['GET', '/v1/watch', { reason: 'RATE_LIMITED' }],
      ['GET', '/docs', { reason: 'RATE_LIMITED' }],
    ];
    for (const [method, path, body] of routes) {
      const answer = await server.request(method, path, method === 'POST' ? { body: ROOT } : {});
      expect([path, answer.status, answer.body]).toMatchObject([path, 429, body]);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(answer.headers.get('x-request-id')).not.toBeNull();
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  it('has one budget for all protocols, and one request counts once', async () => {
    await using server = await startTestServer({ rateLimit: { requests: 8, windowMs: WINDOW_MS } });
    const [json, , grpc] = WAYS.filter(({ name }) => name.endsWith('over HTTP/2'));
    expect(await health(server)).toBe(200);
    await createClient(SystemService, json!.connect(server.url)).getHealth({});
    await createClient(SystemService, grpc!.connect(server.url)).getHealth({});
    // A route that needs several calls to answer.
    const headers = { authorization: 'Bearer nonsense' };
    await server.request('POST', '/set', { body: '[]', headers });
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`);
    await new Promise((resolve) => socket.once('open', resolve));
    socket.terminate();
    const left = await server.request('GET', '/v1/health');
    expect(left.headers.get('ratelimit')).toMatch(/^"address";r=2;/);
    expect([await health(server), await health(server), await health(server)]).toEqual([
      200, 200, 429,
    ]);
    const refused = new WebSocket(`${server.url.replace('http', 'ws')}/ws`);
    const error = await new Promise<Error>((resolve) => refused.once('error', resolve));
    expect(error.message).toContain('429');
  });

  it.each([
    ['preflights of a page', 204, preflight],
    ['paths that cannot be decoded', 400, (server: TestServer) => status(server, '/v1/health%zz')],
    ['handshakes for another path', 404, (server: TestServer) => handshake(server, '/nowhere')],
    ['handshakes of another page', 403, (server: TestServer) => handshake(server, '/ws', FOREIGN)],
  ])('is refused %s, each of which counts', async (...[, answered, ask]) => {
    await using server = await startTestServer({
      ...{ rateLimit: { requests: 3, windowMs: WINDOW_MS }, corsOrigins: [PAGE] },
      ...{ bans: { refusals: 2, firstMs: WINDOW_MS }, trustedProxies: ['127.0.0.1'] },
    });
    const statuses = [];
    for (let n = 0; n < 8; n++) statuses.push(await ask(server));
    expect(statuses).toEqual([...Array<number>(3).fill(answered), ...Array<number>(5).fill(429)]);
    const headers = { 'x-forwarded-for': BEHIND };
    const banned = await server.request('GET', '/v1/health', { headers });
    expect(banned.body.metadata.policy).toBe('ban');
    // Nobody else is held up.
    expect(await health(server)).toBe(200);
  });

  it('cannot get away by naming other addresses', async () => {
    await using server = await startTestServer({ rateLimit: { requests: 2, windowMs: WINDOW_MS } });
    const spoofed = [
      'x-forwarded-for',
      'x-real-ip',
      'forwarded',
      'x-client-ip',
      'cf-connecting-ip',
      'true-client-ip',
    ].map((name, at) => ({ [name]: `198.51.100.${String(at)}` }));
    const statuses = [];
    for (const headers of spoofed) statuses.push(await health(server, headers));
    expect(statuses).toEqual([200, 200, 429, 429, 429, 429]);
  });

  it('is found behind a chain of proxies, whatever stands in front of what they wrote', async () => {
    await using server = await startTestServer({
      rateLimit: { requests: 2, windowMs: WINDOW_MS },
      trustedProxies: ['127.0.0.1', '10.0.0.0/8'],
    });
    const chains = [
      '198.51.100.1, 10.0.0.2',
      '192.0.2.1, 198.51.100.1, 10.9.9.9, 10.0.0.2',
      '10.0.0.3, 198.51.100.1, 10.0.0.2',
      'unknown, 198.51.100.1:4711, 10.0.0.2',
    ];
    const statuses = [];
    for (const chain of chains) statuses.push(await health(server, { 'x-forwarded-for': chain }));
    expect(statuses).toEqual([200, 200, 429, 429]);
    expect(await health(server, { 'x-forwarded-for': '198.51.100.2, 10.0.0.2' })).toBe(200);
  });

  it('is a whole /64 of IPv6', async () => {
    await using server = await startTestServer({
      rateLimit: { requests: 2, windowMs: WINDOW_MS },
      trustedProxies: ['127.0.0.1'],
    });
    const statuses = [];
    for (const host of [':1', ':2', 'ffff:ffff:ffff:ffff']) {
      statuses.push(await health(server, { 'x-forwarded-for': `2001:db8:1:2:${host}` }));
    }
    expect(statuses).toEqual([200, 200, 429]);
    expect(await health(server, { 'x-forwarded-for': '2001:db8:1:3::1' })).toBe(200);
  });
});

describe('limits of their own', () => {
  const login = (server: TestServer, password: string): Promise<number> =>
    server
      .request('POST', '/v1/sessions', { body: { ...ROOT, password } })
      .then(({ status }) => status);

  it('have attempts to sign in, by every door together', async () => {
    await using server = await startTestServer({ rates: { ...NO_RATES, logins: 3 } });
    expect(await login(server, ROOT.password)).toBe(200);
    expect(await login(server, 'wrong')).toBe(401);
    expect((await server.request('POST', '/login', { body: ROOT })).status).toBe(200);
    expect(await login(server, ROOT.password)).toBe(429);
    const answer = await server.request('POST', '/login', { body: ROOT });
    expect([answer.status, answer.body.error]).toEqual([429, 'Rate limit exceeded']);
    expect(answer.headers.get('ratelimit-policy')).toBe('"login";q=3;w=60');
    expect(
      (await server.request('POST', '/session', { body: ROOT, headers: { origin: server.url } }))
        .status,
    ).toBe(429);
    // Nothing else is held up.
    expect(await health(server)).toBe(200);
  });

  it('have tokens that are verified', async () => {
    await using server = await startTestServer({ rates: { ...NO_RATES, verifications: 2 } });
    const token = await server.rootToken();
    const introspect = (): Promise<number> =>
      server
        .request('POST', '/oauth2/introspect', {
          body: `token=${token}`,
          token,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        })
        .then(({ status }) => status);
    expect([await introspect(), await introspect(), await introspect()]).toEqual([200, 200, 429]);
    expect((await server.asRoot('GET', '/v1/status')).status).toBe(200);
  });

  it('have callers without a valid credential; those with one are not held up by them', async () => {
    await using server = await startTestServer({ rates: { ...NO_RATES, anonymous: 4 } });
    const token = await server.rootToken();
    const forged = { token: `${token}x` };
    expect(await health(server)).toBe(200);
    expect((await server.request('GET', '/v1/status', forged)).status).toBe(401);
    expect((await server.request('GET', '/v1/status')).status).toBe(401);
    expect(await health(server)).toBe(429);
    expect((await server.request('GET', '/v1/status', forged)).status).toBe(429);
    for (let n = 0; n < 10; n++) {
      expect((await server.asRoot('GET', '/v1/status')).status).toBe(200);
    }
  });

  it('have users and clients, with all their tokens and from wherever', async () => {
    await using server = await startTestServer({
      rates: { ...NO_RATES, principal: 3 },
      trustedProxies: ['127.0.0.1'],
    });
    const body = { ...ROOT, ttl: '3600s' };
    const tokens = [];
    for (let n = 0; n < 2; n++) {
      tokens.push(String((await server.request('POST', '/v1/sessions', { body })).body.token));
    }
    const answers = [];
    for (const at of [0, 1, 2, 3]) {
      const headers = { 'x-forwarded-for': `198.51.100.${String(at)}` };
      answers.push(await server.request('GET', '/v1/status', { token: tokens[at % 2]!, headers }));
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers[2]?.headers.get('ratelimit')).toMatch(/^"principal";r=0;t=\d+$/);
    const auth = createClient(AuthService, WAYS[0]!.connect(server.url));
    const headers = { authorization: `Bearer ${tokens[0]!}` };
    const error = await failureOf(auth.whoAmI({}, { headers }));
    expect(error.rawMessage).toBe(
      'more than 3 calls in 60 s by this user or client; wait, then try again',
    );
  });
});
