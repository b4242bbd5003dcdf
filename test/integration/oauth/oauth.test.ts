import { request as httpRequest } from 'node:http';

import { createLocalJWKSet, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';

import { createLogger } from '../../../src/platform/logger.ts';
import { refusedCallers } from '../../support/doors.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import {
  startTestServer,
  testConfig,
  type TestResponse,
  type TestServer,
} from '../../support/server.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const INTROSPECT = '/oauth2/introspect';
const REVOKE = '/oauth2/revoke';

function form(members: Readonly<Record<string, string>>): string {
  return new URLSearchParams(members).toString();
}

async function introspect(server: TestServer, token: string): Promise<TestResponse> {
  const caller = await server.rootToken();
  return server.request('POST', INTROSPECT, {
    body: form({ token }),
    headers: FORM,
    token: caller,
  });
}

function revoke(server: TestServer, token: string, rest = {}): Promise<TestResponse> {
  return server.request('POST', REVOKE, { body: form({ token, ...rest }), headers: FORM });
}

async function makeKey(server: TestServer): Promise<string> {
  const body = { description: 'd', scopes: ['tokens:*:*'] };
  return String((await server.asRoot('POST', '/v1/apiKeys', body)).body.text);
}

describe('introspection', () => {
  it('tells what a delegated token is', async () => {
    await using server = await startTestServer();
    const made = await server.asRoot('POST', '/v1/tokens', {
      ...{ clientId: 'reports', scopes: ['read:a:*', 'write:a:k'], ttl: '60s' },
    });
    const { status, body, headers } = await introspect(server, made.body.token);
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      ...{ active: true, scope: 'read:a:* write:a:k', client_id: 'reports', username: 'root' },
      ...{ token_type: 'Bearer', sub: 'reports', iss: 'moltendb', aud: 'moltendb' },
      ...{ jti: made.body.principal.tokenId, exp: expect.any(Number), iat: expect.any(Number) },
    });
    expect(body.exp - body.iat).toBe(60);
  });

  it('tells what an API key and a token of a sign-in are', async () => {
    await using server = await startTestServer();
    const key = await makeKey(server);
    const ofKey = await introspect(server, key);
    expect(ofKey.body).toMatchObject({ active: true, sub: 'root', scope: 'tokens:*:*' });
    expect(ofKey.body).not.toHaveProperty('exp');
    expect(ofKey.body).not.toHaveProperty('iss');
    const ofSession = await introspect(server, await server.rootToken());
    expect(ofSession.body).toMatchObject({ active: true, sub: 'root', scope: '*:*:*' });
    expect(ofSession.body).not.toHaveProperty('client_id');
  });

  it('says of all else only that it is not active', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const login = await server.request('POST', '/v1/sessions', {
      body: { username: 'root', password: 'a password long enough for tests' },
    });
    const dead = await server.tokenWith(['read:a:*']);
    await revoke(server, dead);
    const short = await server.asRoot('POST', '/v1/tokens', {
      ...{ clientId: 'c', scopes: ['read:a:*'], ttl: '1s' },
    });
    clock.advance(2000);
    for (const token of ['rubbish', dead, short.body.token, login.body.refreshToken, '\u0000é']) {
      const { status, text } = await introspect(server, String(token));
      expect([status, text]).toEqual([200, '{"active":false}']);
    }
  });

  it('takes the caller from either header', async () => {
    await using server = await startTestServer();
    const key = await makeKey(server);
    for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }]) {
      const body = form({ token: key, token_type_hint: 'access_token', more: 'ignored' });
      const answer = await server.request('POST', INTROSPECT, {
        ...{ body, headers: { ...FORM, ...headers } },
      });
      expect([answer.status, answer.body.active]).toEqual([200, true]);
    }
  });

  it('refuses everybody else', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    for (const { why, headers } of await refusedCallers(server, clock)) {
      for (const body of [form({ token: 'x' }), '']) {
        const answer = await server.request('POST', INTROSPECT, {
          ...{ body, headers: { ...FORM, ...headers } },
        });
        if (why === 'wrong scope' && body === '') continue;
        const isScope = why === 'wrong scope';
        expect([why, answer.status, answer.body.error]).toEqual([
          ...[why, isScope ? 403 : 401, isScope ? 'insufficient_scope' : 'invalid_token'],
        ]);
        const challenge = answer.headers.get('www-authenticate') ?? '';
        expect(challenge.includes('error=')).toBe(why !== 'no token');
        expect(answer.body).not.toHaveProperty('active');
      }
    }
  });
});

describe('revocation', () => {
  it('ends tokens, API keys and sessions, and needs nothing but the token', async () => {
    await using server = await startTestServer();
    const login = await server.request('POST', '/v1/sessions', {
      body: { username: 'root', password: 'a password long enough for tests' },
    });
    const { token: access, refreshToken } = login.body;
    const parent = await server.tokenWith(['read:a:*']);
    const child = await server.request('POST', '/v1/tokens', {
      ...{ token: parent, body: { clientId: 'child', scopes: ['read:a:k'] } },
    });
    for (const [token, hint] of [
      [parent, 'access_token'],
      [refreshToken, 'refresh_token'],
      [await makeKey(server), 'of_another_kind'],
    ] as const) {
      const answer = await revoke(server, String(token), { token_type_hint: hint });
      expect([answer.status, answer.text]).toEqual([200, '']);
    }
    for (const token of [parent, child.body.token, access]) {
      const answer = await server.request('GET', '/v1/sessions/current', { token: String(token) });
      expect([answer.status, answer.body.reason]).toEqual([401, 'CREDENTIAL_REVOKED']);
    }
    const again = await server.request('POST', '/v1/sessions:refresh', { body: { refreshToken } });
    expect(again.status).toBe(401);
  });

  it('says nothing about tokens that are unknown or have ended', async () => {
    await using server = await startTestServer();
    const dead = await server.tokenWith(['read:a:*']);
    for (const token of ['rubbish', 'mr_x_y', 'mk_live_x', dead, dead]) {
      const answer = await revoke(server, token);
      expect([answer.status, answer.text]).toEqual([200, '']);
    }
  });

  it('refuses a caller with a credential that is not valid', async () => {
    await using server = await startTestServer();
    const body = form({ token: 'x' });
    const answer = await server.request('POST', REVOKE, { body, headers: FORM, token: 'rubbish' });
    expect([answer.status, answer.body.error]).toEqual([401, 'invalid_token']);
  });
});

describe('requests that are malformed', () => {
  it.each<[string, string, string | undefined, Record<string, string>]>([
    ['no body', '', undefined, {}],
    ['no token', '', 'token_type_hint=access_token', FORM],
    ['an empty token', '', 'token=', FORM],
    ['two tokens', '', 'token=a&token=b', FORM],
    ['two hints', '', 'token=a&token_type_hint=b&token_type_hint=b', FORM],
    ['JSON', '', '{"token":"a"}', { 'content-type': 'application/json' }],
    ['text', '', 'token=a', { 'content-type': 'text/plain' }],
    ['the token in the URL', '?token=a', 'token=a', FORM],
    ['a token that is too long', '', `token=${'a'.repeat(262_145)}`, FORM],
  ])('with %s are refused in the words of OAuth', async (...[, query, body, headers]) => {
    await using server = await startTestServer();
    const token = await server.rootToken();
    for (const path of [INTROSPECT, REVOKE]) {
      const sent = body === undefined ? {} : { body };
      const answer = await server.request('POST', `${path}${query}`, { ...sent, headers, token });
      expect([path, answer.status, answer.body.error]).toEqual([path, 400, 'invalid_request']);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(answer.body.error_description).toMatch(/^[\x20-\x7e]+$/);
    }
  });

  it('of another method or of too many bytes are refused', async () => {
    await using server = await startTestServer();
    for (const path of [INTROSPECT, REVOKE, '/.well-known/jwks.json']) {
      const answer = await server.request('DELETE', path);
      expect([answer.status, answer.body.error]).toEqual([405, 'invalid_request']);
      expect(answer.headers.get('allow')).toBe(path.startsWith('/oauth2') ? 'POST' : 'GET, HEAD');
    }
    const body = `token=${'a'.repeat(900 * 1024)}`;
    const answer = await server.request('POST', REVOKE, { body, headers: FORM });
    expect([answer.status, answer.body.error]).toEqual([413, 'invalid_request']);
  });

  it('of many parameters are read like any other', async () => {
    await using server = await startTestServer();
    const names = Array.from({ length: 100_000 }, (_, at) => at.toString(36));
    for (const [more, status] of [
      ['token=x', 200],
      ['token=x&token=y', 400],
    ] as const) {
      const body = `${names.join('&')}&${more}`;
      expect((await server.request('POST', REVOKE, { body, headers: FORM })).status).toBe(status);
    }
  });

  it('beyond the rate limit are told when to come again', async () => {
    await using server = await startTestServer({ rateLimit: { requests: 1, windowMs: 60_000 } });
    await revoke(server, 'x');
    const answer = await revoke(server, 'x');
    expect([answer.status, answer.body.error]).toEqual([429, 'temporarily_unavailable']);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('the keys', () => {
  it('verify tokens, before and after a rotation, and are never secret', async () => {
    const { access } = testConfig('');
    await using server = await startTestServer({ access: { ...access, tokenAlgorithm: 'EdDSA' } });
    const before = await server.tokenWith(['read:a:*']);
    await server.asRoot('POST', '/v1/signingKeys:rotate', { grace: '3600s' });
    const after = await server.tokenWith(['read:a:*']);
    const { body, headers } = await server.request('GET', '/.well-known/jwks.json');
    expect(headers.get('cache-control')).toBe('public, max-age=300');
    expect(body.keys).toHaveLength(2);
    for (const key of body.keys) {
      expect(key).toMatchObject({ kty: 'OKP', use: 'sig', alg: 'EdDSA', kid: expect.any(String) });
      expect(Object.keys(key)).not.toContain('d');
    }
    for (const token of [before, after]) {
      const { payload } = await jwtVerify(token, createLocalJWKSet(body), { issuer: 'moltendb' });
      expect(payload.sub).toBe('a-client');
    }
  });

  it('are none when tokens are signed with a shared secret', async () => {
    await using server = await startTestServer();
    const { status, text } = await server.request('GET', '/.well-known/jwks.json');
    expect([status, text]).toEqual([200, '{"keys":[]}']);
  });
});

describe('the description', () => {
  const PATH = '/.well-known/oauth-authorization-server';

  it('names what there is, where it was asked', async () => {
    await using server = await startTestServer();
    const { body, headers } = await server.request('GET', PATH);
    const { url } = server;
    expect(body).toEqual({
      ...{ issuer: url, jwks_uri: `${url}/.well-known/jwks.json` },
      introspection_endpoint: `${url}/oauth2/introspect`,
      introspection_endpoint_auth_methods_supported: ['Bearer'],
      revocation_endpoint: `${url}/oauth2/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
      ...{ response_types_supported: [], grant_types_supported: [] },
      service_documentation: `${url}/docs`,
    });
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('names the issuer of tokens when that is an address', async () => {
    const { access } = testConfig('');
    const tokenIssuer = 'https://db.example';
    await using server = await startTestServer({ access: { ...access, tokenIssuer } });
    const { body } = await server.request('GET', PATH);
    expect([body.issuer, body.jwks_uri]).toEqual([
      ...[tokenIssuer, `${server.url}/.well-known/jwks.json`],
    ]);
    const proxied = await getAs(server, PATH, 'db.example');
    expect(JSON.parse(proxied.text).jwks_uri).toBe('https://db.example/.well-known/jwks.json');
  });

  it('repeats no host that is none', async () => {
    await using server = await startTestServer();
    const answer = await getAs(server, PATH, 'evil"host/x');
    expect([answer.status, answer.text.includes('evil')]).toEqual([400, false]);
  });
});

/** Asks under another name of the host, which fetch does not allow. */
function getAs(
  { port }: TestServer,
  path: string,
  host: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port, path, host: '127.0.0.1', headers: { host } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, text });
      });
    });
    sent.on('error', reject).end();
  });
}

describe('the log', () => {
  it('has no token in it', async () => {
    const lines: string[] = [];
    const sink = { write: (line: string) => lines.push(line) };
    const logger = createLogger({ level: 'debug', destination: sink });
    await using server = await startTestServer({}, { logger });
    const token = await server.tokenWith(['read:a:*']);
    await introspect(server, token);
    await revoke(server, token);
    await server.request('POST', REVOKE, { body: form({ token }), headers: FORM, token });
    await server.request('POST', `${REVOKE}?token=${token}`, { body: 'token=x', headers: FORM });
    const secret = token.split('.')[2] ?? '';
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.join('').includes(secret)).toBe(false);
  });
});
