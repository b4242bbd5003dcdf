/** Tokens that nobody issued, at every door, whatever signs the real ones; and how long one may be. */
import { createHmac } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { TOKEN_CHARS_MAX } from '../../../src/domain/access/token-size.ts';
import {
  startTestServer,
  testConfig,
  type TestResponse,
  type TestServer,
} from '../../support/server.ts';
import { forgedByPublicKey, forgedTokens } from './forged-tokens.ts';
import { loginAsRoot, whoAmI } from './team.ts';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

function asForm(token: string): string {
  return new URLSearchParams({ token }).toString();
}

/** Shows a credential at a door; refused is 401. */
type Door = (server: TestServer, token: string) => Promise<TestResponse>;

const DOORS: readonly (readonly [string, Door])[] = [
  ['REST', (server, token) => server.request('GET', '/v1/sessions/current', { token })],
  [
    'Connect',
    (server, token) => server.request('POST', '/molten.v1.AuthService/WhoAmI', { token, body: {} }),
  ],
  [
    'an API key',
    (server, token) =>
      server.request('GET', '/v1/sessions/current', { headers: { 'x-api-key': token } }),
  ],
  ['a watch', (server, token) => server.request('GET', '/v1/watch', { token })],
  ['MoltenDB', (server, token) => server.request('GET', '/stats', { token })],
  ['MDDB', (server, token) => server.request('GET', '/v1/auth/me', { token })],
  [
    'MDDB, as a key',
    (server, token) => server.request('GET', '/v1/auth/me', { headers: { 'x-api-key': token } }),
  ],
  ['Aegis', (server, token) => server.request('GET', '/api/v1/auth/me', { token })],
  [
    'Aegis, without a scheme',
    (server, authorization) =>
      server.request('GET', '/api/v1/auth/session', { headers: { authorization } }),
  ],
  [
    'introspection',
    (server, token) =>
      server.request('POST', '/oauth2/introspect', { token, headers: FORM, body: 'token=x' }),
  ],
  [
    'the cookie of a session',
    (server, token) => server.request('GET', '/session', { headers: cookies(server, token) }),
  ],
  [
    'the cookie of a session, by REST',
    (server, token) =>
      server.request('GET', '/v1/sessions/current', { headers: cookies(server, token) }),
  ],
];

function cookies(server: TestServer, token: string): Readonly<Record<string, string>> {
  return { cookie: `molten-session=${token}`, origin: server.url };
}

describe.each(['HS256', 'EdDSA', 'ES256'] as const)('on a server of %s', (tokenAlgorithm) => {
  let server: TestServer;
  let forged: readonly (readonly [string, string])[];

  beforeAll(async () => {
    const access = { ...testConfig('').access, tokenAlgorithm };
    server = await startTestServer({ access });
    forged = [...(await forgedTokens(server)), ...(await forgedByPublicKey(server))];
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it('there are all of them, and the real one is taken', async () => {
    const own = forged.filter(([name]) => name.includes('own public key'));
    expect(own).toHaveLength(tokenAlgorithm === 'HS256' ? 0 : 8);
    expect(forged.length).toBeGreaterThan(40);
    const token = await server.rootToken();
    for (const [name, door] of DOORS) {
      // A watch has no end.
      if (name === 'a watch') continue;
      const { status } = await door(server, token);
      expect([name, status]).toEqual([name, 200]);
    }
  });

  it.each(DOORS)('%s takes none of them', async (_, door) => {
    for (const [name, token] of forged) {
      expect([name, (await door(server, token)).status]).toEqual([name, 401]);
    }
  });

  it('introspection calls none of them active, and revoking them ends nothing', async () => {
    const { token } = await loginAsRoot(server);
    for (const [name, shown] of forged) {
      const body = asForm(shown);
      const found = await server.request('POST', '/oauth2/introspect', {
        ...{ token, headers: FORM, body },
      });
      expect([name, found.body]).toEqual([name, { active: false }]);
      const ended = await server.request('POST', '/oauth2/revoke', { headers: FORM, body });
      expect([name, ended.status]).toEqual([name, 200]);
    }
    expect(await whoAmI(server, await server.rootToken())).toBe('taken');
  });
});

describe('the length of a token', () => {
  const encode = (value: object): string =>
    Buffer.from(JSON.stringify(value)).toString('base64url');

  /** The same token with so many characters more in a claim, signed as the server signs. */
  function padded(token: string, chars: number): string {
    const [head = '', body = ''] = token.split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as object;
    const text = `${head}.${encode({ ...claims, filler: 'x'.repeat(chars) })}`;
    const { jwtSecret } = testConfig('');
    return `${text}.${createHmac('sha256', jwtSecret).update(text).digest('base64url')}`;
  }

  it('is bounded, and the bound is named', async () => {
    await using server = await startTestServer();
    const token = await server.rootToken();
    const lengths = Array.from({ length: 16 }, (_, at) => padded(token, 11_600 + at).length);
    expect(Math.max(...lengths)).toBeLessThan(TOKEN_CHARS_MAX);
    let chars = 11_600;
    while (padded(token, chars + 1).length <= TOKEN_CHARS_MAX) chars += 1;
    const [longest, beyond] = [padded(token, chars), padded(token, chars + 1)];
    expect(TOKEN_CHARS_MAX - longest.length).toBeLessThan(2);
    expect(await whoAmI(server, longest)).toBe('taken');
    for (const huge of [beyond, padded(token, 20_000)]) {
      const { status, body } = await server.request('GET', '/v1/sessions/current', { token: huge });
      expect([status, body.reason]).toEqual([401, 'CREDENTIAL_INVALID']);
      expect(body.detail).toContain(`${String(huge.length)} characters; the limit is 16384`);
    }
  });

  it('leaves room for 256 scopes and a chain of eight', async () => {
    await using server = await startTestServer();
    let token = await server.rootToken();
    const scopes = Array.from(
      { length: 256 },
      (_, at) => `read:a-collection-${String(at)}:key-${String(at)}-*`,
    );
    for (let depth = 0; depth < 8; depth++) {
      const body = { clientId: `client-${'c'.repeat(40)}-${String(depth)}`, scopes };
      const made = await server.request('POST', '/v1/tokens', { token, body });
      expect([depth, made.status]).toEqual([depth, 200]);
      token = String(made.body.token);
      expect(await whoAmI(server, token)).toBe('taken');
    }
    const renewed = await server.request('POST', '/v1/tokens:refresh', { token, body: {} });
    expect(renewed.status).toBe(200);
  });
});
