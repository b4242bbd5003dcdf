import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { delegate, login, makeUser, PASSWORD, read, tryLogin, whoAmI } from './team.ts';

const DAY_MS = 24 * 3_600_000;

async function refresh(server: TestServer, refreshToken: string): Promise<TestResponse> {
  return await server.request('POST', '/v1/sessions:refresh', { body: { refreshToken } });
}

describe('a session', () => {
  it('goes on by refresh tokens that are taken once', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada', { roles: ['viewer'] });
    const first = await login(server, 'ada');
    clock.advance(900_001);
    expect(await whoAmI(server, first.token)).toBe('CREDENTIAL_EXPIRED');
    const second = await refresh(server, first.refreshToken);
    expect(second.status).toBe(200);
    expect(await whoAmI(server, second.body.token)).toBe('taken');
    expect(second.body.principal.sessionId).toBe(first.sessionId);
    // The old one again: two hold it, and neither goes on.
    const again = await refresh(server, first.refreshToken);
    expect([again.status, again.body.reason]).toEqual([401, 'CREDENTIAL_REVOKED']);
    expect(await whoAmI(server, second.body.token)).toBe('CREDENTIAL_REVOKED');
    expect((await refresh(server, second.body.refreshToken)).status).toBe(401);
  });

  it('falls when it is refreshed twice at once, and exactly one wins', async () => {
    await using server = await startTestServer();
    for (let round = 0; round < 5; round++) {
      const name = `u${String(round)}`;
      await makeUser(server, name);
      const { refreshToken } = await login(server, name);
      const answers = await Promise.all([1, 2, 3].map(() => refresh(server, refreshToken)));
      const won = answers.filter(({ status }) => status === 200);
      expect(won).toHaveLength(1);
      expect(await whoAmI(server, won[0]?.body.token)).toBe('CREDENTIAL_REVOKED');
      expect((await refresh(server, won[0]?.body.refreshToken)).status).toBe(401);
    }
  });

  it('is not ended by somebody who guesses', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    const { token, refreshToken, sessionId } = await login(server, 'ada');
    const junk = 'A'.repeat(43);
    const family = refreshToken.slice(`mr_${sessionId}_`.length, -43);
    for (const guess of [`mr_${sessionId}_${junk}${junk}`, 'mr_', 'x', `${refreshToken}A`]) {
      expect((await refresh(server, guess)).body.reason).toBe('CREDENTIAL_INVALID');
    }
    expect(await whoAmI(server, token)).toBe('taken');
    // With the part that stays it is no guess any more.
    await refresh(server, `mr_${sessionId}_${family}${junk}`);
    expect(await whoAmI(server, token)).toBe('CREDENTIAL_REVOKED');
  });

  it('survives a restart, and its end does too', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const kept = await (async () => {
      await using server = await startTestServer({ dbPath });
      await makeUser(server, 'ada');
      const [one, two] = [await login(server, 'ada'), await login(server, 'ada')];
      await server.request('DELETE', '/v1/sessions/current', { token: two.token });
      return { one, two };
    })();
    await using server = await startTestServer({ dbPath });
    expect(await whoAmI(server, kept.one.token)).toBe('taken');
    expect(await whoAmI(server, kept.two.token)).toBe('CREDENTIAL_REVOKED');
    expect((await refresh(server, kept.one.refreshToken)).status).toBe(200);
    expect((await refresh(server, kept.two.refreshToken)).status).toBe(401);
  });

  it('ends when nobody refreshes it for two weeks, and after ninety days', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    let { refreshToken } = await login(server, 'ada');
    const idle = await login(server, 'ada');
    for (let day = 0; day < 80; day += 10) {
      clock.advance(10 * DAY_MS);
      const answer = await refresh(server, refreshToken);
      expect(answer.status, String(day)).toBe(200);
      refreshToken = String(answer.body.refreshToken);
    }
    expect((await refresh(server, idle.refreshToken)).status).toBe(401);
    clock.advance(11 * DAY_MS);
    expect((await refresh(server, refreshToken)).status).toBe(401);
  });

  it('is listed and ended by its user, and by nobody else', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    await makeUser(server, 'bob');
    const [ada, phone, bob] = [
      await login(server, 'ada'),
      await login(server, 'ada'),
      await login(server, 'bob'),
    ];
    const list = await server.request('GET', '/v1/sessions', { token: ada.token });
    expect(list.body.sessions).toHaveLength(2);
    const current = list.body.sessions.filter((one: { current?: boolean }) => one.current === true);
    expect(current).toMatchObject([{ sessionId: ada.sessionId, methods: ['password'] }]);
    expect(list.text).not.toContain(ada.refreshToken);
    const end = (sessionId: string, token: string): Promise<TestResponse> =>
      server.request('DELETE', `/v1/sessions/${sessionId}`, { token });
    expect((await end(phone.sessionId, bob.token)).body.reason).toBe('SESSION_NOT_FOUND');
    expect(await whoAmI(server, phone.token)).toBe('taken');
    expect((await end(phone.sessionId, ada.token)).status).toBe(200);
    expect(await whoAmI(server, phone.token)).toBe('CREDENTIAL_REVOKED');
    const delegated = await delegate(server, await server.rootToken(), ['read:c:*']);
    const refused = await server.request('GET', '/v1/sessions', { token: delegated.token });
    expect(refused.body.reason).toBe('SCOPE_MISSING');
  });

  it('of one user is one of a hundred at most: the one used longest ago gives way', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const password = PASSWORD;
    await makeUser(server, 'ada', { password });
    const first = await login(server, 'ada');
    for (let at = 0; at < 100; at++) {
      clock.advance(1);
      await login(server, 'ada');
    }
    expect((await refresh(server, first.refreshToken)).status).toBe(401);
    const { token } = await login(server, 'ada');
    const list = await server.request('GET', '/v1/sessions', { token });
    expect(list.body.sessions).toHaveLength(100);
  }, 60_000);

  it('may ask for a token of another life, within a day', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    const ask = (ttl: string): Promise<TestResponse> =>
      server.request('POST', '/v1/sessions', {
        body: { username: 'ada', password: PASSWORD, ttl },
      });
    const { body } = await ask('86400s');
    const lives = Date.parse(body.principal.expireTime) - Date.now();
    expect(Math.round(lives / 3_600_000)).toBe(24);
    expect((await ask('86401s')).body.reason).toBe('ARGUMENT_INVALID');
    expect((await ask('0s')).body.reason).toBe('ARGUMENT_INVALID');
  });

  it('may end before what it has delegated; its user may not', async () => {
    await using server = await startTestServer();
    await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    await makeUser(server, 'ada', { roles: ['viewer'] });
    const { token } = await login(server, 'ada');
    const service = await delegate(server, token, ['read:c:*']);
    await server.request('DELETE', '/v1/sessions/current', { token });
    expect(await whoAmI(server, token)).toBe('CREDENTIAL_REVOKED');
    expect(await read(server, service.token)).toBe('taken');
    await server.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_DISABLED' });
    expect(await read(server, service.token)).toBe('CREDENTIAL_REVOKED');
    expect((await tryLogin(server, 'ada')).body.reason).toBe('CREDENTIAL_INVALID');
    await server.asRoot('PATCH', '/v1/users/ada', { state: 'USER_STATE_ACTIVE' });
    expect(await read(server, service.token)).toBe('taken');
    await server.asRoot('DELETE', '/v1/users/ada');
    await makeUser(server, 'ada', { roles: ['viewer'] });
    expect(await read(server, service.token)).toBe('CREDENTIAL_REVOKED');
  });
});
