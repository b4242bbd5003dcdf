import { Secret, TOTP } from 'otpauth';
import { describe, expect, it, vi } from 'vitest';

import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { login, makeUser, PASSWORD, tryLogin, whoAmI } from './team.ts';

const STEP_MS = 30_000;

/** A device that shows codes, as an authenticator app does. */
interface Device {
  code(offsetMs?: number): string;
}

function device(secret: string, clock: ManualClock): Device {
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  return { code: (offsetMs = 0) => totp.generate({ timestamp: clock.now() + offsetMs }) };
}

async function answer(server: TestServer, challenge: string, code: string): Promise<TestResponse> {
  return await server.request('POST', '/v1/sessions:answer', { body: { challenge, code } });
}

async function enrol(
  server: TestServer,
  token: string,
  clock: ManualClock,
): Promise<{ readonly app: Device; readonly recoveryCodes: readonly string[] }> {
  const path = '/v1/profile/secondFactor';
  const offered = await server.request('POST', path, { token, body: { password: PASSWORD } });
  expect(offered.status).toBe(200);
  expect(String(offered.body.uri)).toMatch(/^otpauth:\/\/totp\/moltendb/);
  const app = device(String(offered.body.secret), clock);
  const body = { code: app.code() };
  const confirmed = await server.request('POST', `${path}:confirm`, { token, body });
  expect(confirmed.status).toBe(200);
  return { app, recoveryCodes: confirmed.body.recoveryCodes };
}

describe('a second factor', () => {
  it('counts only when a first code has shown that the device works', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    const { token } = await login(server, 'ada');
    const path = '/v1/profile/secondFactor';
    const ask = (url: string, body: object): Promise<TestResponse> =>
      server.request('POST', url, { token, body });
    expect((await ask(path, { password: 'wrong' })).body.reason).toBe('CREDENTIAL_INVALID');
    expect((await ask(`${path}:confirm`, { code: '000000' })).body.reason).toBe(
      'SECOND_FACTOR_NOT_FOUND',
    );
    const { body } = await ask(path, { password: PASSWORD });
    expect((await tryLogin(server, 'ada')).body.token).not.toBe('');
    const app = device(String(body.secret), clock);
    expect((await ask(`${path}:confirm`, { code: '000000' })).body.reason).toBe(
      'CREDENTIAL_INVALID',
    );
    expect((await tryLogin(server, 'ada')).body.token).not.toBe('');
    const confirmed = await ask(`${path}:confirm`, { code: app.code() });
    expect(confirmed.body.recoveryCodes).toHaveLength(10);
    const challenged = await tryLogin(server, 'ada');
    expect(challenged.body).toMatchObject({ token: '', refreshToken: '' });
    expect(challenged.body.challenge).toMatch(/^mc_/);
    expect((await ask(path, { password: PASSWORD })).body.reason).toBe('SECOND_FACTOR_EXISTS');
  });

  it('takes a code once, one step early or late, and no further', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    const { app } = await enrol(server, (await login(server, 'ada')).token, clock);
    const tryCode = async (code: string): Promise<number> => {
      const { body } = await tryLogin(server, 'ada');
      return (await answer(server, String(body.challenge), code)).status;
    };
    // The code of the enrolment itself.
    expect(await tryCode(app.code())).toBe(401);
    for (const [offsetMs, status] of [
      ...[
        [-2 * STEP_MS, 401],
        [2 * STEP_MS, 401],
        [-STEP_MS, 200],
        [0, 200],
        [STEP_MS, 200],
      ],
    ] as const) {
      clock.advance(5 * STEP_MS);
      expect([offsetMs, await tryCode(app.code(offsetMs))]).toEqual([offsetMs, status]);
    }
    clock.advance(5 * STEP_MS);
    const code = app.code();
    const { body } = await tryLogin(server, 'ada');
    const { body: other } = await tryLogin(server, 'ada');
    const both = await Promise.all([
      answer(server, String(body.challenge), code),
      answer(server, String(other.challenge), code),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 401]);
    // An older code than one that was taken.
    clock.advance(5 * STEP_MS);
    expect(await tryCode(app.code(STEP_MS))).toBe(200);
    expect(await tryCode(app.code())).toBe(401);
  });

  it('ends a challenge after five wrong codes, and after five minutes', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    const { app } = await enrol(server, (await login(server, 'ada')).token, clock);
    clock.advance(5 * STEP_MS);
    const first = String((await tryLogin(server, 'ada')).body.challenge);
    const late = String((await tryLogin(server, 'ada')).body.challenge);
    for (let at = 0; at < 5; at++) {
      expect((await answer(server, first, 'wrong')).body.reason).toBe('CREDENTIAL_INVALID');
    }
    expect((await answer(server, first, app.code())).body.reason).toBe('CREDENTIAL_EXPIRED');
    // Whose codes are guessed is known to the audit log, though the request names nobody.
    const guesses = '/v1/auditRecords?actor=ada&action=session.login&result=AUDIT_RESULT_DENIED';
    await vi.waitFor(async () => {
      const { body } = await server.asRoot('GET', guesses);
      expect(body.records).toMatchObject([{ actor: 'ada', reason: 'CREDENTIAL_INVALID' }]);
    }, 30_000);
    // Guessing codes makes the account wait like guessing passwords.
    expect((await tryLogin(server, 'ada')).body.reason).toBe('RATE_LIMITED');
    clock.advance(300_001);
    expect((await answer(server, late, app.code())).body.reason).toBe('CREDENTIAL_EXPIRED');
    for (const forged of ['mc_x', `${late}x`, `mc_${'A'.repeat(22)}_${'A'.repeat(43)}`]) {
      expect((await answer(server, forged, app.code())).body.reason).toBe('CREDENTIAL_EXPIRED');
    }
    expect((await server.request('GET', '/v1/sessions/current', { token: late })).status).toBe(401);
  });

  it('has recovery codes, each taken once; others replace them', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    const { app, recoveryCodes } = await enrol(server, (await login(server, 'ada')).token, clock);
    const [one = '', two = ''] = recoveryCodes;
    const tryCode = async (code: string): Promise<TestResponse> => {
      const { body } = await tryLogin(server, 'ada');
      return await answer(server, String(body.challenge), code);
    };
    const signed = await tryCode(one.toUpperCase());
    expect(signed.status).toBe(200);
    expect((await tryCode(one)).status).toBe(401);
    clock.advance(STEP_MS * 5);
    const token = String(signed.body.token);
    const renewed = await server.request('POST', '/v1/profile/secondFactor:renewRecoveryCodes', {
      ...{ token, body: { code: app.code() } },
    });
    expect(renewed.body.recoveryCodes).toHaveLength(10);
    expect((await tryCode(two)).status).toBe(401);
    expect((await tryCode(renewed.body.recoveryCodes[0])).status).toBe(200);
    const remove = (code: string): Promise<TestResponse> =>
      server.request('POST', '/v1/profile/secondFactor:remove', { token, body: { code } });
    expect((await remove('000000')).body.reason).toBe('CREDENTIAL_INVALID');
    clock.advance(STEP_MS * 5);
    expect((await remove(app.code())).status).toBe(200);
    expect((await tryLogin(server, 'ada')).body.challenge).toBe('');
  });

  it('is demanded by a role: without one a user can do nothing but enrol it', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await server.asRoot('POST', '/v1/roles', {
      ...{ name: 'careful', scopes: ['read:c:*'], secondFactorRequired: true },
    });
    await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    await makeUser(server, 'ada', { roles: ['careful'], scopes: ['write:c:*'] });
    const { token } = await login(server, 'ada');
    const path = '/v1/collections/c/documents/k';
    const tryRead = async (): Promise<number> =>
      (await server.request('GET', path, { token })).status;
    expect(await tryRead()).toBe(403);
    const who = await server.request('GET', '/v1/sessions/current', { token });
    expect(who.body.principal).toMatchObject({ secondFactorRequired: true });
    expect(who.body.principal.scopes ?? []).toEqual([]);
    const key = await server.request('POST', '/v1/apiKeys', {
      ...{ token, body: { scopes: ['read:c:*'] } },
    });
    expect(key.status).toBe(403);
    expect(key.body.detail).toMatch(/enrol a second factor/);
    await enrol(server, token, clock);
    expect(await tryRead()).toBe(200);
    const made = await server.request('POST', '/v1/apiKeys', {
      ...{ token, body: { scopes: ['read:c:*'] } },
    });
    // A device that is lost: an administrator takes it away, and it begins again.
    expect((await server.asRoot('POST', '/v1/users/ada:resetSecondFactor', {})).status).toBe(200);
    expect(await whoAmI(server, token)).toBe('CREDENTIAL_REVOKED');
    const fresh = await login(server, 'ada');
    // Also by what the user has made before, and each answer says what is to be done.
    for (const proof of [fresh.token, String(made.body.text)]) {
      const refused = await server.request('GET', path, { token: proof });
      expect(refused.body).toMatchObject({
        ...{ status: 403, reason: 'SCOPE_MISSING' },
        detail: expect.stringContaining('enrol a second factor') as string,
      });
    }
  });
});
