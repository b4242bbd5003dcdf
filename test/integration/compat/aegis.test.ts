import { TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { refusedCallers } from '../../support/doors.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { ROOT, startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';

const PATH = '/api/v1/auth';

function post(server: TestServer, path: string, body: unknown): Promise<TestResponse> {
  return server.request('POST', `${PATH}${path}`, { body });
}

async function login(server: TestServer): Promise<string> {
  return String((await post(server, '/login', ROOT)).body.token);
}

/** Gives the root user a second factor; tells codes. */
async function enrol(server: TestServer, nowMs: () => number): Promise<() => string> {
  const token = await login(server);
  const { password } = ROOT;
  const path = '/v1/profile/secondFactor';
  const offered = await server.request('POST', path, { token, body: { password } });
  const totp = new TOTP({ secret: String(offered.body.secret) });
  const code = (): string => totp.generate({ timestamp: nowMs() });
  const confirmed = await server.request('POST', `${path}:confirm`, {
    ...{ token, body: { code: code() } },
  });
  expect(confirmed.status).toBe(200);
  return code;
}

describe('/login, /me and /session', () => {
  it('give a token, and show its user', async () => {
    await using server = await startTestServer();
    const { status, body } = await post(server, '/login', ROOT);
    const user = {
      ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), username: 'root', email: '' },
      ...{ role: 'admin', mfa_enabled: false },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    };
    expect([status, body]).toEqual([200, { token: expect.any(String), user }]);
    for (const path of ['/me', '/session']) {
      for (const authorization of [`Bearer ${String(body.token)}`, String(body.token)]) {
        const shown = await server.request('GET', `${PATH}${path}`, { headers: { authorization } });
        expect([shown.status, shown.body]).toEqual([200, body.user]);
      }
    }
  });

  it('say the same of an unknown user as of a wrong password', async () => {
    await using server = await startTestServer();
    for (const body of [{ ...ROOT, password: 'no' }, { username: 'nobody', password: 'no' }, {}]) {
      const answer = await post(server, '/login', body);
      expect([answer.status, answer.body]).toEqual([401, { error: 'Invalid credentials' }]);
    }
    expect((await post(server, '/login', '{')).status).toBe(400);
    expect((await post(server, '/login', { username: {} })).status).toBe(400);
  });

  it('name the nearest role', async () => {
    await using server = await startTestServer();
    const password = 'seven wet sparrows';
    for (const [name, role] of [
      ['editor', 'operator'],
      ['operator', 'operator'],
      ['viewer', 'viewer'],
      ['admin', 'admin'],
    ] as const) {
      await server.asRoot('POST', '/v1/users', { name: `a-${name}`, password, roles: [name] });
      const { body } = await post(server, '/login', { username: `a-${name}`, password });
      expect([name, body.user.role]).toEqual([name, role]);
    }
  });

  it('take no token from the URL', async () => {
    await using server = await startTestServer();
    const token = await login(server);
    for (const [method, path] of [
      ['GET', '/session'],
      ['GET', '/me'],
      ['POST', '/logout'],
    ] as const) {
      for (const headers of [{}, { authorization: `Bearer ${token}` }]) {
        const url = `${PATH}${path}?token=${token}`;
        const answer = await server.request(method, url, { headers });
        expect([path, answer.status]).toEqual([path, 400]);
        expect(answer.body.error).toContain('Authorization: Bearer');
        expect(answer.text).not.toContain(token);
      }
    }
    expect((await server.request('GET', `${PATH}/me`, { token })).status).toBe(200);
  });

  it('refuse every other caller with null', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    for (const { why, headers } of await refusedCallers(server, clock)) {
      for (const path of ['/me', '/session']) {
        const answer = await server.request('GET', `${PATH}${path}`, { headers });
        // A delegated token is nobody's session.
        const expected = why === 'wrong scope' ? 403 : 401;
        expect([why, path, answer.status]).toEqual([why, path, expected]);
        if (expected === 401) expect(answer.text).toBe('null');
      }
    }
  });

  it('refuse other methods', async () => {
    await using server = await startTestServer();
    for (const path of ['/login', '/mfa/verify', '/logout', '/session', '/me']) {
      const answer = await server.request('DELETE', `${PATH}${path}`);
      expect([path, answer.status, answer.body]).toEqual([
        ...[path, 405, { error: 'method not allowed' }],
      ]);
    }
  });
});

describe('/mfa/verify', () => {
  it('takes one code once, and says nothing of what is wrong', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const code = await enrol(server, () => clock.now());
    clock.advance(30_000);
    const first = await post(server, '/login', ROOT);
    expect(first.body).toEqual({ requires_mfa: true, token: expect.stringMatching(/^mc_/) });
    const { token } = first.body;
    const signedIn = await post(server, '/mfa/verify', { token, code: code() });
    expect(signedIn.body).toMatchObject({ user: { username: 'root', mfa_enabled: true } });
    const me = await server.request('GET', `${PATH}/me`, { token: signedIn.body.token });
    expect(me.status).toBe(200);
    const second = (await post(server, '/login', ROOT)).body.token;
    for (const body of [
      { token, code: code() },
      { token: second, code: code() },
      { token: second, code: '000000' },
      { token: 'rubbish', code: code() },
      { token: '', code: '' },
      {},
    ]) {
      const answer = await post(server, '/mfa/verify', body);
      expect([answer.status, answer.body]).toEqual([401, { error: 'Invalid or expired code' }]);
    }
    clock.advance(301_000);
    const late = await post(server, '/mfa/verify', { token: second, code: code() });
    expect([late.status, late.body]).toEqual([401, { error: 'Invalid or expired code' }]);
  });
});

describe('/logout', () => {
  it('ends the session of the body, or of the header, once', async () => {
    await using server = await startTestServer();
    for (const how of ['body', 'header', 'bare'] as const) {
      const token = await login(server);
      const authorization = how === 'bare' ? token : `Bearer ${token}`;
      const sent = how === 'body' ? { body: { token } } : { headers: { authorization } };
      const ended = await server.request('POST', `${PATH}/logout`, sent);
      expect([how, ended.status, ended.body]).toEqual([how, 200, { success: true }]);
      const me = await server.request('GET', `${PATH}/me`, { token });
      expect([me.status, me.text]).toEqual([401, 'null']);
      const again = await server.request('POST', `${PATH}/logout`, sent);
      expect([again.status, again.body]).toEqual([200, { success: false }]);
    }
  });

  it('is no success for anything else', async () => {
    await using server = await startTestServer();
    for (const body of [{ token: 'rubbish' }, { token: 'a b' }, { token: '' }, {}]) {
      const answer = await post(server, '/logout', body);
      expect([answer.status, answer.body]).toEqual([200, { success: false }]);
    }
    expect((await server.request('POST', `${PATH}/logout`)).body).toEqual({ success: false });
    expect((await post(server, '/logout', { token: 7 })).status).toBe(400);
  });

  it('ends the token that is named, not that of who calls', async () => {
    await using server = await startTestServer();
    const [mine, other] = [await login(server), await login(server)];
    const body = { token: other };
    const answer = await server.request('POST', `${PATH}/logout`, { token: mine, body });
    expect(answer.body).toEqual({ success: true });
    expect((await server.request('GET', `${PATH}/me`, { token: mine })).status).toBe(200);
    expect((await server.request('GET', `${PATH}/me`, { token: other })).status).toBe(401);
  });
});

describe('an API key that logs out', () => {
  it('is gone for good', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const made = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:a:*'] });
    const { text: token, apiKey } = made.body;
    expect((await post(server, '/logout', { token })).body).toEqual({ success: true });
    clock.advance(400 * 24 * 3_600_000);
    const after = await server.request('GET', '/v1/sessions/current', { token: String(token) });
    expect(after.status).toBe(401);
    const login = await server.request('POST', '/v1/sessions', { body: ROOT });
    const path = `/v1/apiKeys/${String(apiKey.apiKeyId)}`;
    expect((await server.request('GET', path, { token: login.body.token })).status).toBe(404);
  });
});
