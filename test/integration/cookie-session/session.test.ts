import { request as httpsRequest } from 'node:https';

import { TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { certificate, privateKey } from '../../support/certificate.ts';
import { openCookieJar } from '../../support/cookie-jar.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

describe('POST /session', () => {
  it('signs in by cookies that no script reads, and answers without a token', async () => {
    await using server = await startTestServer({}, { clock: createManualClock() });
    const jar = openCookieJar(server);
    const { body, text } = await jar.signIn();
    expect(body).toEqual({
      principal: expect.objectContaining({ subject: 'root', scopes: ['*:*:*'] }),
      expireTime: body.principal.expireTime,
      csrfToken: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(jar.lines).toEqual([
      expect.stringMatching(
        /^molten-session=ey[\w.-]+; Path=\/; Max-Age=900; HttpOnly; SameSite=Strict$/,
      ),
      expect.stringMatching(
        /^molten-refresh=mr_[\w.-]+; Path=\/session; Max-Age=1209600; HttpOnly; SameSite=Strict$/,
      ),
    ]);
    for (const value of jar.cookies.values()) expect(text).not.toContain(value);
    const shown = await jar.send('GET', '/session');
    expect([shown.status, shown.body]).toEqual([200, body]);
  });

  it('asks for the code of a second factor', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const path = '/v1/profile/secondFactor';
    const offered = await server.asRoot('POST', path, { password: ROOT.password });
    const totp = new TOTP({ secret: String(offered.body.secret) });
    const code = (): string => totp.generate({ timestamp: clock.now() });
    await server.asRoot('POST', `${path}:confirm`, { code: code() });
    clock.advance(30_000);
    const jar = openCookieJar(server);
    const first = await jar.send('POST', '/session', { body: ROOT });
    expect(first.body).toEqual({
      challenge: expect.stringMatching(/^mc_/),
      challengeExpireTime: new Date(clock.now() + 300_000).toISOString(),
    });
    expect(jar.cookies.size).toBe(0);
    const { challenge } = first.body;
    const wrong = await jar.send('POST', '/session', { body: { challenge, code: '000000' } });
    expect([wrong.status, jar.cookies.size]).toEqual([401, 0]);
    const right = await jar.send('POST', '/session', { body: { challenge, code: code() } });
    expect([right.status, jar.cookies.size]).toEqual([200, 2]);
  });

  it.each<[string, unknown, number]>([
    ['a wrong password', { username: 'root', password: 'x' }, 401],
    ['an unknown user', { username: 'nobody', password: 'x' }, 401],
    ['a challenge that is none', { challenge: 'x', code: '1' }, 401],
    ['half of it', { username: 'root' }, 400],
    ['more than it', { ...ROOT, ttl: '1s' }, 400],
    ['two ways at once', { ...ROOT, challenge: 'x', code: '1' }, 400],
    ['numbers', { username: 1, password: 2 }, 400],
    ['a list', '[]', 400],
    ['nothing', '', 400],
    ['no JSON', '{', 400],
  ])('refuses %s and sets no cookie', async (_, body, status) => {
    await using server = await startTestServer();
    const jar = openCookieJar(server);
    const answer = await jar.send('POST', '/session', { body });
    expect([answer.status, jar.lines]).toEqual([status, []]);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });

  it('names its own bound to a body that is too large', async () => {
    await using server = await startTestServer();
    const jar = openCookieJar(server);
    const body = { username: 'u'.repeat(65_536), password: 'p' };
    const answer = await jar.send('POST', '/session', { body });
    expect([answer.status, answer.body.metadata]).toEqual([413, { limit: '65536' }]);
    expect(answer.body.detail).toBe('the body is larger than 65536 bytes; send less at once');
  });

  it('does not ask for a token where none is taken', async () => {
    await using server = await startTestServer();
    const { status, body } = await server.asRoot('GET', '/session');
    expect([status, body.reason]).toEqual([401, 'CREDENTIAL_MISSING']);
    expect(body.detail).toBe('there is no session; sign in with POST /session');
  });

  it('takes no form and no text, which other sites can send', async () => {
    await using server = await startTestServer();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const jar = openCookieJar(server);
      const headers = { 'content-type': type };
      const answer = await jar.send('POST', '/session', { body: JSON.stringify(ROOT), headers });
      expect([type, answer.status, jar.lines]).toEqual([type, 415, []]);
    }
  });

  it('ends the session that was there, and signs in past one that has ended', async () => {
    await using server = await startTestServer();
    const jar = openCookieJar(server);
    await jar.signIn();
    const before = String(jar.cookies.get('molten-session'));
    await jar.signIn();
    const old = await server.request('GET', '/v1/sessions/current', { token: before });
    expect([old.status, old.body.reason]).toEqual([401, 'CREDENTIAL_REVOKED']);
    await server.asRoot('POST', '/v1/tokens:revoke', { kind: 'REVOCATION_KIND_ALL' });
    expect((await jar.send('GET', '/session')).status).toBe(401);
    expect((await jar.send('GET', '/v1/setup')).status).toBe(200);
    await jar.signIn();
  });

  it('signs in users of many scopes', async () => {
    await using server = await startTestServer();
    const name = 'many';
    const password = 'seven wet sparrows';
    const scopes = Array.from({ length: 250 }, (_, n) => `read:${'c'.repeat(16)}${String(n)}:*`);
    await server.asRoot('POST', '/v1/users', { name, password, scopes });
    const jar = openCookieJar(server);
    const answer = await jar.send('POST', '/session', { body: { username: name, password } });
    expect([answer.status, answer.body.principal.scopes]).toEqual([200, scopes]);
    expect(jar.lines[0]?.length).toBeLessThan(4096);
  });
});

describe('POST /session/refresh', () => {
  it('goes on when the token has ended, and takes each refresh token once', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const jar = openCookieJar(server);
    await jar.signIn();
    const before = new Map(jar.cookies);
    clock.advance(901_000);
    expect((await jar.send('GET', '/session')).body.reason).toBe('CREDENTIAL_EXPIRED');
    const answer = await jar.send('POST', '/session/refresh', { csrf: false });
    expect([answer.status, answer.body.csrfToken]).toEqual([200, jar.csrfToken]);
    expect(jar.cookies.get('molten-refresh')).not.toBe(before.get('molten-refresh'));
    expect((await jar.send('GET', '/session')).status).toBe(200);
    clock.advance(11_000);
    const cookie = `molten-refresh=${String(before.get('molten-refresh'))}`;
    const again = await jar.send('POST', '/session/refresh', { headers: { cookie } });
    expect([again.status, again.body.reason]).toEqual([401, 'CREDENTIAL_REVOKED']);
    expect(jar.cookies.size).toBe(0);
  });

  it('answers the tabs of one browser alike, and nobody else', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const jar = openCookieJar(server);
    await jar.signIn();
    const cookie = `molten-refresh=${String(jar.cookies.get('molten-refresh'))}`;
    const refresh = (agent: string): Promise<{ status: number; cookies: string[] }> =>
      server
        .request('POST', '/session/refresh', { headers: { cookie, 'user-agent': agent } })
        .then(({ status, headers }) => ({
          status,
          cookies: headers.getSetCookie().map((line) => line.split(';')[0] ?? ''),
        }));
    const [one, two] = await Promise.all([refresh('a'), refresh('a')]);
    clock.advance(9000);
    const late = await refresh('a');
    expect([one.status, two, late]).toEqual([200, one, one]);
    expect((await refresh('b')).status).toBe(401);
    expect((await jar.send('GET', '/session')).status).toBe(401);
  });

  it('refuses who has no session, and clears what is left of one', async () => {
    await using server = await startTestServer();
    const jar = openCookieJar(server);
    const nobody = await jar.send('POST', '/session/refresh');
    expect([nobody.status, nobody.body.reason]).toEqual([401, 'CREDENTIAL_MISSING']);
    const headers = { cookie: 'molten-refresh=rubbish' };
    const answer = await jar.send('POST', '/session/refresh', { headers });
    expect([answer.status, answer.body.reason]).toEqual([401, 'CREDENTIAL_INVALID']);
    expect(answer.headers.getSetCookie().every((line) => line.includes('Max-Age=0'))).toBe(true);
  });
});

describe('DELETE /session', () => {
  it('ends the session and clears the cookies', async () => {
    await using server = await startTestServer();
    const jar = openCookieJar(server);
    await jar.signIn();
    const kept = new Map(jar.cookies);
    const refused = await jar.send('DELETE', '/session', { csrf: false });
    expect([refused.status, jar.cookies.size]).toEqual([401, 2]);
    expect((await jar.send('DELETE', '/session')).status).toBe(204);
    expect(jar.cookies.size).toBe(0);
    const token = String(kept.get('molten-session'));
    expect((await server.request('GET', '/v1/sessions/current', { token })).status).toBe(401);
    const refreshToken = String(kept.get('molten-refresh'));
    const path = '/v1/sessions:refresh';
    expect((await server.request('POST', path, { body: { refreshToken } })).status).toBe(401);
  });

  it('ends a session whose token has ended before it, and is content without one', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const jar = openCookieJar(server);
    await jar.signIn();
    const refreshToken = String(jar.cookies.get('molten-refresh'));
    clock.advance(901_000);
    expect((await jar.send('DELETE', '/session')).status).toBe(204);
    const again = await server.request('POST', '/v1/sessions:refresh', { body: { refreshToken } });
    expect(again.status).toBe(401);
    expect((await jar.send('DELETE', '/session')).status).toBe(204);
  });
});

describe('over TLS', () => {
  const tls = { cert: certificate, key: privateKey };

  it('cookies have the prefixes, and others are not taken', async () => {
    await using server = await startTestServer({ tls });
    const signedIn = await sendTls(server, '/session', { body: ROOT });
    expect([signedIn.status, signedIn.cookies]).toEqual([
      200,
      [
        expect.stringMatching(/^__Host-molten-session=ey.*; Path=\/; .*; Secure$/),
        expect.stringMatching(/^__Secure-molten-refresh=mr_.*; Path=\/session; .*; Secure$/),
      ],
    ]);
    const [pair = ''] = String(signedIn.cookies[0]).split(';');
    const own = { origin: server.url };
    const show = async (headers: Record<string, string>): Promise<number> =>
      (await sendTls(server, '/session', { headers })).status;
    expect(await show({ cookie: pair, ...own })).toBe(200);
    expect(await show({ cookie: pair.replace('__Host-', ''), ...own })).toBe(401);
    expect(await show({ cookie: pair, origin: server.url.replace('https', 'http') })).toBe(401);
    expect(await show({ cookie: `${pair}; ${pair}`, ...own })).toBe(401);
  });

  it('ended by a proxy, the page tells', async () => {
    await using server = await startTestServer();
    const origin = server.url.replace('http', 'https');
    const headers = { origin };
    const answer = await server.request('POST', '/session', { body: ROOT, headers });
    const [line = ''] = answer.headers.getSetCookie();
    expect(line).toMatch(/^__Host-molten-session=.*; Secure$/);
    const [cookie = ''] = line.split(';');
    const shown = await server.request('GET', '/session', { headers: { cookie, origin } });
    expect(shown.status).toBe(200);
    const plain = { cookie, origin: server.url };
    expect((await server.request('GET', '/session', { headers: plain })).status).toBe(401);
  });
});

interface TlsAnswer {
  readonly status: number;
  readonly cookies: readonly string[];
}

function sendTls(
  { port }: TestServer,
  path: string,
  { body, headers = {} }: { readonly body?: unknown; readonly headers?: Record<string, string> },
): Promise<TlsAnswer> {
  const method = body === undefined ? 'GET' : 'POST';
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const type = text === undefined ? {} : { 'content-type': 'application/json' };
    const options = { host: '127.0.0.1', port, path, method, ca: certificate };
    const sent = httpsRequest({ ...options, headers: { ...type, ...headers } }, (answer) => {
      answer.resume();
      answer.on('end', () => {
        const cookies = answer.headers['set-cookie'] ?? [];
        resolve({ status: answer.statusCode ?? 0, cookies });
      });
    });
    sent.on('error', reject).end(text);
  });
}
