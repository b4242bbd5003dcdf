import { get } from 'node:http';

import { createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { openCookieJar, type CookieJar } from '../../support/cookie-jar.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

const DOCUMENT = '/v1/collections/c/documents/k';
const FIELDS = { body: { fields: { n: 1 } } };

async function signedIn(server: TestServer): Promise<CookieJar> {
  const jar = openCookieJar(server);
  await jar.signIn();
  return jar;
}

function cookieOf(jar: CookieJar): string {
  return `molten-session=${String(jar.cookies.get('molten-session'))}`;
}

describe('what changes anything', () => {
  it('needs the token of this session', async () => {
    await using server = await startTestServer();
    const jar = await signedIn(server);
    const other = (await signedIn(server)).csrfToken;
    for (const token of ['', 'rubbish', other, `${jar.csrfToken}A`, jar.csrfToken.slice(1)]) {
      const headers = { 'x-csrf-token': token };
      const answer = await jar.send('PUT', DOCUMENT, { body: FIELDS, headers });
      expect([token, answer.status, answer.body.reason]).toEqual([
        ...[token, 401, 'CREDENTIAL_INVALID'],
      ]);
      expect(answer.body.detail).toContain('x-csrf-token');
    }
    expect((await jar.send('GET', DOCUMENT, { csrf: false })).status).toBe(404);
    expect((await jar.send('PUT', DOCUMENT, { body: FIELDS })).status).toBe(200);
    expect((await jar.send('GET', DOCUMENT, { csrf: false })).status).toBe(200);
  });

  it('needs it on every protocol', async () => {
    await using server = await startTestServer();
    const jar = await signedIn(server);
    const set = { collection: 'c', data: { k: {} } };
    const routes: readonly (readonly [string, string, unknown])[] = [
      ['POST', '/set', set],
      ['POST', '/molten.v1.DocumentService/SetDocument', { collection: 'c', key: 'k', ...FIELDS }],
      ['PUT', DOCUMENT, FIELDS],
      ['POST', '/v1/auth/register', { username: 'x', password: 'seven wet sparrows' }],
      ['POST', '/v1/tokens', { clientId: 'c', scopes: ['read:c:*'] }],
    ];
    for (const [method, path, body] of routes) {
      const without = await jar.send(method, path, { body, csrf: false });
      expect([path, without.status]).toEqual([path, 401]);
      expect(without.text).toContain('x-csrf-token');
      const answer = await jar.send(method, path, { body });
      expect([path, answer.status]).toEqual([path, 200]);
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    for (const [csrf, status] of [
      [false, 401],
      [true, 200],
    ] as const) {
      const sent = { body: 'token=x', headers: form, csrf };
      expect((await jar.send('POST', '/oauth2/introspect', sent)).status).toBe(status);
    }
  });

  it('needs it over Connect, gRPC and gRPC-Web, and over HTTP/2', async () => {
    await using server = await startTestServer();
    const jar = await signedIn(server);
    const { url: baseUrl } = server;
    const makers: readonly ((interceptors: Interceptor[]) => Transport)[] = [
      (interceptors) => createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors }),
      (interceptors) => createConnectTransport({ baseUrl, httpVersion: '2', interceptors }),
      (interceptors) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1', interceptors }),
      (interceptors) => createGrpcTransport({ baseUrl, interceptors }),
    ];
    for (const make of makers) {
      for (const csrf of ['', jar.csrfToken]) {
        const headers: Interceptor = (next) => (request) => {
          request.header.set('cookie', cookieOf(jar));
          request.header.set('origin', server.url);
          if (csrf !== '') request.header.set('x-csrf-token', csrf);
          return next(request);
        };
        const transport = make([headers]);
        const client = createClient(DocumentService, transport);
        const body = { content: { case: 'fields' as const, value: { n: 1 } } };
        const write = client.setDocument({ collection: 'c', key: 'k', body });
        await (csrf === ''
          ? expect(write).rejects.toThrow('x-csrf-token')
          : expect(write).resolves.toBeDefined());
        await expect(client.listDocuments({ collection: 'c' })).resolves.toBeDefined();
      }
    }
  });

  it('does not need it with a token or a key, whatever cookies come along', async () => {
    await using server = await startTestServer();
    const jar = await signedIn(server);
    const token = await server.rootToken();
    const headers = { authorization: `Bearer ${token}`, origin: 'https://elsewhere.example' };
    const answer = await jar.send('PUT', DOCUMENT, { body: FIELDS, headers, csrf: false });
    expect(answer.status).toBe(200);
    const broken = { authorization: 'Bearer rubbish' };
    expect((await jar.send('GET', DOCUMENT, { headers: broken })).status).toBe(401);
  });
});

describe('another page', () => {
  const FOREIGN: readonly Readonly<Record<string, string>>[] = [
    { origin: 'https://elsewhere.example' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:1' },
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'https://allowed.example', 'sec-fetch-site': 'cross-site' },
  ];

  it('is refused whatever it asks, and its reads are too', async () => {
    await using server = await startTestServer({ corsOrigins: ['https://allowed.example'] });
    const jar = await signedIn(server);
    await jar.send('PUT', DOCUMENT, { body: FIELDS });
    for (const headers of FOREIGN) {
      for (const [method, path] of [
        ['GET', DOCUMENT],
        ['GET', '/session'],
        ['DELETE', DOCUMENT],
        ['POST', '/session/refresh'],
        ['DELETE', '/session'],
        ['GET', '/v1/watch?collection=c'],
        ['GET', '/collections/c/docs/k'],
        ['GET', '/v1/auth/me'],
        ['GET', '/api/v1/auth/me'],
      ] as const) {
        const answer = await jar.send(method, path, { headers });
        expect([headers, path, answer.status]).toEqual([headers, path, 401]);
      }
    }
    const sibling = { cookie: cookieOf(jar), 'sec-fetch-site': 'same-site' };
    expect((await server.request('GET', DOCUMENT, { headers: sibling })).status).toBe(401);
    expect((await jar.send('GET', DOCUMENT)).status).toBe(200);
  });

  it('cannot sign anybody in', async () => {
    await using server = await startTestServer({ corsOrigins: ['https://allowed.example'] });
    for (const headers of [...FOREIGN, { origin: 'https://allowed.example' }]) {
      const jar = openCookieJar(server);
      const body = { username: 'root', password: 'a password long enough for tests' };
      const answer = await jar.send('POST', '/session', { body, headers });
      expect([headers, answer.status, jar.lines]).toEqual([headers, 401, []]);
    }
  });

  it('of the configuration may call, with the token; every page may not', async () => {
    const origin = 'https://allowed.example';
    await using server = await startTestServer({ corsOrigins: [origin] });
    const jar = await signedIn(server);
    const headers = { origin };
    const body = FIELDS;
    expect((await jar.send('PUT', DOCUMENT, { body, headers, csrf: false })).status).toBe(401);
    expect((await jar.send('PUT', DOCUMENT, { body, headers })).status).toBe(200);
    await using open = await startTestServer({ corsOrigins: ['*'] });
    const other = await signedIn(open);
    for (const from of [origin, '*']) {
      const sent = { body, headers: { origin: from } };
      expect((await other.send('PUT', DOCUMENT, sent)).status).toBe(401);
    }
  });
});

describe('streams', () => {
  it('of events run with the cookie, from a page of ours', async () => {
    await using server = await startTestServer();
    const jar = await signedIn(server);
    await jar.send('PUT', DOCUMENT, { body: FIELDS });
    const open = (headers: Record<string, string>): Promise<readonly [number, string]> =>
      new Promise((resolve, reject) => {
        const path = '/v1/watch?collection=c&initialState=true';
        const accept = { accept: 'text/event-stream', cookie: cookieOf(jar) };
        const options = { host: '127.0.0.1', port: server.port, path };
        const sent = get({ ...options, headers: { ...accept, ...headers } }, (answer) => {
          answer.once('data', (chunk: Buffer) => {
            resolve([answer.statusCode ?? 0, chunk.toString()]);
            sent.destroy();
          });
        });
        sent.on('error', reject);
      });
    expect(await open({ 'sec-fetch-site': 'same-origin' })).toEqual([
      ...[200, expect.stringContaining('event:')],
    ]);
    expect(await open({ origin: server.url })).toEqual([200, expect.any(String)]);
    expect((await open({ origin: 'https://elsewhere.example' }))[0]).toBe(401);
  });

  it('over WebSocket run with the cookie of the handshake, from a page of ours', async () => {
    const clock = createManualClock();
    const origin = 'https://allowed.example';
    await using server = await startTestServer({ corsOrigins: [origin, '*'] }, { clock });
    const jar = await signedIn(server);
    const cookie = cookieOf(jar);
    const own = { cookie, origin: server.url };
    expect(await firstFrame(server, own)).toMatchObject({ status: 'authenticated' });
    expect(await firstFrame(server, { cookie, origin })).toMatchObject({ status: 'authenticated' });
    for (const headers of [
      { cookie },
      { cookie, origin: 'https://elsewhere.example' },
      { ...own, 'sec-fetch-site': 'cross-site' },
      { ...own, cookie: 'molten-session=rubbish' },
    ]) {
      const frame = await firstFrame(server, headers);
      expect([headers, frame]).toEqual([
        headers,
        expect.objectContaining({ error: 'invalid_token' }),
      ]);
    }
    for (const headers of [{ origin: server.url }, { ...own, cookie: 'other=1' }]) {
      expect(await firstFrame(server, headers)).toMatchObject({ error: 'missing_token' });
    }
    clock.advance(901_000);
    expect(await firstFrame(server, own)).toMatchObject({ error: 'token_expired' });
  });
});

/** What the server says to an AUTH frame without a token. */
function firstFrame(server: TestServer, headers: Record<string, string>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`, { headers });
    socket.on('error', reject);
    socket.on('open', () => {
      socket.send('{"action":"AUTH"}');
    });
    socket.on('message', (data) => {
      resolve(JSON.parse((data as Buffer).toString()));
      socket.close();
    });
  });
}

describe('the cookie', () => {
  it('holds a token of a sign-in or nothing', async () => {
    await using server = await startTestServer();
    const made = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:c:*'] });
    const delegated = await server.tokenWith(['read:c:*']);
    for (const token of [String(made.body.text), delegated, 'rubbish', 'a b', '"x"']) {
      const headers = { cookie: `molten-session=${token}`, 'sec-fetch-site': 'same-origin' };
      const answer = await server.request('GET', DOCUMENT, { headers });
      expect([token, answer.status, answer.body.reason]).toEqual([
        ...[token, 401, 'CREDENTIAL_INVALID'],
      ]);
    }
  });

  it('is refused when it has expired, was revoked, or covers too little', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const jar = await signedIn(server);
    const ended = await signedIn(server);
    const cookie = cookieOf(ended);
    await ended.send('DELETE', '/session');
    const revoked = await jar.send('GET', DOCUMENT, { headers: { cookie } });
    expect(revoked.body.reason).toBe('CREDENTIAL_REVOKED');
    clock.advance(901_000);
    expect((await jar.send('GET', DOCUMENT)).body.reason).toBe('CREDENTIAL_EXPIRED');
    const nobody = openCookieJar(server);
    for (const [method, path] of [
      ['GET', '/session'],
      ['POST', '/session/refresh'],
    ] as const) {
      expect((await nobody.send(method, path)).body.reason).toBe('CREDENTIAL_MISSING');
    }
    await jar.send('POST', '/session/refresh');
    const user = { name: 'narrow', password: 'seven wet sparrows', scopes: ['read:other:*'] };
    expect((await jar.send('POST', '/v1/users', { body: user })).status).toBe(200);
    const narrow = openCookieJar(server);
    const body = { username: 'narrow', password: 'seven wet sparrows' };
    await narrow.send('POST', '/session', { body });
    expect((await narrow.send('GET', DOCUMENT)).body.reason).toBe('SCOPE_MISSING');
  });
});
