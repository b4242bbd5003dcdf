import { Secret, TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

const PASSWORD = 'nine copper kettles hum';
const STEP_MS = 30_000;

async function tokenOf(server: TestServer, username: string): Promise<string> {
  const login = { body: { username, password: PASSWORD } };
  return String((await server.request('POST', '/v1/sessions', login)).body.token);
}

describe('guessing', () => {
  it('of codes is slowed down also for those who know the password', async () => {
    await using server = await startTestServer();
    const enrolled = await server.asRoot('POST', '/v1/profile/secondFactor', {
      password: ROOT.password,
    });
    const totp = new TOTP({ secret: Secret.fromBase32(enrolled.body.secret) });
    const confirmed = await server.asRoot('POST', '/v1/profile/secondFactor:confirm', {
      code: totp.generate({ timestamp: systemClock.now() }),
    });
    expect(confirmed.status).toBe(200);
    const challengeOf = async (): Promise<string> =>
      String((await server.request('POST', '/v1/sessions', { body: ROOT })).body.challenge);
    const answer = async (challenge: string, code: string): Promise<number> =>
      (await server.request('POST', '/v1/sessions:answer', { body: { challenge, code } })).status;

    const first = await challengeOf();
    for (let at = 0; at < 4; at++) expect(await answer(first, 'x00000')).toBe(401);
    // The password is right again, and wipes nothing out.
    const second = await challengeOf();
    expect(await answer(second, 'x00000')).toBe(401);
    const next = totp.generate({ timestamp: systemClock.now() + STEP_MS });
    expect(await answer(second, next)).toBe(429);
    expect((await server.request('POST', '/v1/sessions', { body: ROOT })).status).toBe(429);
  });

  it('of passwords by users who have signed in is no hindrance to others', async () => {
    await using server = await startTestServer();
    const names = Array.from({ length: 9 }, (_, at) => `user${String(at)}`);
    for (const name of names) {
      expect((await server.asRoot('POST', '/v1/users', { name, password: PASSWORD })).status).toBe(
        200,
      );
    }
    const [honest = '', ...others] = names;
    const change = async (token: string, oldPassword: string): Promise<number> => {
      const body = { oldPassword, newPassword: 'ten silver ladders lean' };
      return (await server.request('POST', '/v1/profile:changePassword', { token, body })).status;
    };
    for (const name of others) {
      const token = await tokenOf(server, name);
      for (let at = 0; at < 4; at++) expect(await change(token, 'a wrong one')).toBe(401);
    }
    expect(await change(await tokenOf(server, honest), PASSWORD)).toBe(200);
  });
});
