/** What somebody tried who wanted more than was granted, or to stay longer. */
import { Secret, TOTP } from 'otpauth';
import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import {
  startTestServer,
  testConfig,
  type TestResponse,
  type TestServer,
} from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { delegate, login, makeUser, PASSWORD, tryLogin, whoAmI } from './team.ts';

async function statusesOf(answers: readonly Promise<{ status: number }>[]): Promise<number[]> {
  return (await Promise.all(answers)).map(({ status }) => status).sort((a, b) => a - b);
}

function as(
  server: TestServer,
  token: string,
): (method: string, path: string, body?: object) => Promise<TestResponse> {
  return (method, path, body) =>
    server.request(method, path, body === undefined ? { token } : { token, body });
}

describe('who administers users and may do little else', () => {
  it('cannot shed what is hidden by a role that goes while a user is made', async () => {
    await using server = await startTestServer();
    const scopes = ['users:*:*', 'read:e:*', 'hide:e:salary'];
    await makeUser(server, 'mallory', { scopes });
    const mallory = as(server, (await login(server, 'mallory')).token);
    for (let at = 0; at < 3; at++) {
      const role = `tmp${String(at)}`;
      await mallory('POST', '/v1/roles', { name: role, scopes: ['hide:e:salary'] });
      const user = { name: `x${String(at)}`, password: PASSWORD, roles: [role] };
      const making = mallory('POST', '/v1/users', { ...user, scopes: ['read:e:*'] });
      await new Promise((resolve) => setImmediate(resolve));
      const [made] = await Promise.all([making, mallory('DELETE', `/v1/roles/${role}`)]);
      if (made.status !== 200) continue;
      const { token } = await login(server, user.name);
      const who = await server.request('GET', '/v1/sessions/current', { token });
      expect(who.body.principal.scopes).toContain('hide:e:salary');
    }
  });

  it('cannot reach those above it through a role that they share', async () => {
    await using server = await startTestServer();
    await server.asRoot('POST', '/v1/roles', { name: 'reader', scopes: ['read:c:*'] });
    await makeUser(server, 'ann', { roles: ['admin', 'reader'] });
    await makeUser(server, 'mallory', { scopes: ['users:*:*', 'read:c:*'] });
    const mallory = as(server, (await login(server, 'mallory')).token);
    for (const change of [
      { scopes: { values: ['read:c:*', 'hide:*:salary'] } },
      { secondFactorRequired: true },
      { scopes: { values: Array.from({ length: 250 }, (_, at) => `read:c:k${String(at)}`) } },
    ]) {
      const { body } = await mallory('PATCH', '/v1/roles/reader', change);
      expect(body.reason).toBe('SCOPE_MISSING');
    }
    for (const user of ['ann', 'root']) {
      expect((await mallory('POST', `/v1/users/${user}:unlock`, {})).body.reason).toBe(
        'SCOPE_MISSING',
      );
    }
  });

  it('cannot leave nobody above, at once or by a role', async () => {
    await using server = await startTestServer();
    await server.asRoot('POST', '/v1/roles', { name: 'boss', scopes: ['*:*:*'] });
    await makeUser(server, 'eve', { roles: ['boss'] });
    const eve = as(server, (await login(server, 'eve')).token);
    const root = as(server, await server.rootToken());
    const none = { roles: { values: [] } };
    const statuses = await statusesOf([
      root('PATCH', '/v1/users/eve', none),
      eve('PATCH', '/v1/users/root', none),
    ]);
    expect(statuses[0]).toBe(200);
    expect(statuses[1]).not.toBe(200);
    const winner = (await root('GET', '/v1/users')).status === 200 ? root : eve;
    if (winner === eve) {
      const { body } = await eve('PATCH', '/v1/roles/boss', { scopes: { values: ['read:*:*'] } });
      expect(body.reason).toBe('LAST_ADMINISTRATOR');
    }
  });

  it('makes one user of names that differ in case, also at once', async () => {
    await using server = await startTestServer();
    const body = (name: string): object => ({ name, password: PASSWORD });
    const statuses = await statusesOf(
      ['ann', 'Ann', 'ANN'].map((name) => server.asRoot('POST', '/v1/users', body(name))),
    );
    expect(statuses).toEqual([200, 409, 409]);
  });
});

describe('who knew a password', () => {
  it('does not stay signed in by logging in while it is changed', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    const logins = Array.from({ length: 12 }, () => tryLogin(server, 'ada'));
    const change = server.asRoot('POST', '/v1/users/ada:setPassword', {
      password: 'another good passphrase',
    });
    const answers = await Promise.all(logins);
    expect((await change).status).toBe(200);
    for (const { status, body } of answers) {
      if (status === 200) expect(await whoAmI(server, body.token)).toBe('CREDENTIAL_REVOKED');
    }
  });

  it('does not finish a sign-in that it began before', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    const { token } = await login(server, 'ada');
    const path = '/v1/profile/secondFactor';
    const offered = await server.request('POST', path, { token, body: { password: PASSWORD } });
    const totp = new TOTP({ secret: Secret.fromBase32(String(offered.body.secret)) });
    const code = (): string => totp.generate({ timestamp: clock.now() });
    // Guessing the first code is as slow as guessing passwords.
    const guesses: string[] = [];
    for (let at = 0; at < 6; at++) {
      const guess = { token, body: { code: '000000' } };
      guesses.push(String((await server.request('POST', `${path}:confirm`, guess)).body.reason));
    }
    expect(guesses.at(-1)).toBe('RATE_LIMITED');
    clock.advance(3_600_000);
    const again = await login(server, 'ada');
    const confirm = { token: again.token, body: { code: code() } };
    expect((await server.request('POST', `${path}:confirm`, confirm)).status).toBe(200);
    clock.advance(90_000);
    const { body } = await tryLogin(server, 'ada');
    const second = await tryLogin(server, 'ada');
    await server.asRoot('POST', '/v1/users/ada:setPassword', { password: 'another passphrase' });
    const answer = { body: { challenge: body.challenge, code: code() } };
    expect((await server.request('POST', '/v1/sessions:answer', answer)).status).toBe(401);
    expect(second.body.challenge).not.toBe('');
  });

  it('tries no more side by side than one after the other', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    const statuses = await statusesOf(
      Array.from({ length: 60 }, (_, at) =>
        tryLogin(server, at % 2 === 0 ? 'ada' : 'ADA', 'wrong'),
      ),
    );
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(5);
  });
});

describe('a credential that was ended', () => {
  it.each([
    ['CLIENT', 'x'],
    ['USER', 'ada'],
    ['ALL', ''],
  ])('is not renewed beside a revocation of kind %s', async (kind, id) => {
    for (let round = 0; round < 4; round++) {
      await using server = await startTestServer({ writeMode: 'sync' });
      await makeUser(server, 'ada', { scopes: ['read:c:*'] });
      const { token } = await login(server, 'ada');
      const child = await delegate(server, token, { clientId: 'x', scopes: ['read:c:*'] });
      const renewing = server.request('POST', '/v1/tokens:refresh', {
        ...{ token: child.token, body: {} },
      });
      const revoking = server.asRoot('POST', '/v1/tokens:revoke', {
        ...{ kind: `REVOCATION_KIND_${kind}`, id },
      });
      const [renewed, revoked] = await Promise.all([renewing, revoking]);
      expect(revoked.status).toBe(200);
      if (renewed.status === 200) {
        expect(await whoAmI(server, renewed.body.token)).toBe('CREDENTIAL_REVOKED');
      }
    }
  });

  it.each(['USER', 'USER_SESSIONS'])(
    'takes acting as another with it, by kind %s',
    async (kind) => {
      await using server = await startTestServer();
      await makeUser(server, 'sup', { scopes: ['impersonate:*:*', 'read:c:*', 'write:c:*'] });
      await makeUser(server, 'vic', { scopes: ['read:c:*'] });
      const { token } = await login(server, 'sup');
      const path = '/v1/users/vic:impersonate';
      const { body } = await server.request('POST', path, { token, body: {} });
      const target = { kind: `REVOCATION_KIND_${kind}`, id: 'sup' };
      await server.asRoot('POST', '/v1/tokens:revoke', target);
      expect(await whoAmI(server, body.token)).toBe('CREDENTIAL_REVOKED');
    },
  );

  it('of a service, by its own logout, takes what it has delegated with it', async () => {
    await using server = await startTestServer();
    const made = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:c:*'] });
    const key = String(made.body.text);
    const child = await delegate(server, key, ['read:c:*']);
    expect((await as(server, key)('DELETE', '/v1/sessions/current')).status).toBe(200);
    expect(await whoAmI(server, key)).toBe('CREDENTIAL_INVALID');
    expect(await whoAmI(server, child.token)).toBe('CREDENTIAL_REVOKED');
    expect((await server.asRoot('GET', '/v1/apiKeys')).body.apiKeys).toEqual([]);
  });

  it('is replaced once, however many ask at once', async () => {
    await using server = await startTestServer();
    const made = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:c:*'] });
    const path = `/v1/apiKeys/${String(made.body.apiKey.apiKeyId)}:rotate`;
    const statuses = await statusesOf([1, 2, 3].map(() => server.asRoot('POST', path, {})));
    expect(statuses).toEqual([200, 400, 400]);
    expect((await server.asRoot('GET', '/v1/apiKeys')).body.apiKeys).toHaveLength(2);
  });

  it('ends the stream of audit records that it opened', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'auditor', { scopes: ['audit:*:*'] });
    const { token } = await login(server, 'auditor');
    const response = await fetch(`${server.url}/v1/auditRecords:stream?afterNumber=0`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(response.status).toBe(200);
    const text = response.text();
    await server.asRoot('PATCH', '/v1/users/auditor', { scopes: { values: [] } });
    expect(await text).toContain('SCOPE_MISSING');
  });

  it('does not keep everybody out when the clock goes back', async () => {
    using directory = createTemporaryDirectory();
    const clock = createManualClock();
    const dbPath = directory.path;
    {
      await using server = await startTestServer({ dbPath }, { clock });
      await server.asRoot('POST', '/v1/tokens:revoke', { kind: 'REVOCATION_KIND_ALL' });
    }
    clock.advance(-600_000);
    await using server = await startTestServer({ dbPath }, { clock });
    expect(await whoAmI(server, await server.rootToken())).toBe('taken');
  });
});

describe('keys that sign', () => {
  it('cannot be revoked so that nobody signs in any more', async () => {
    await using server = await startTestServer();
    const { keyId } = (await server.request('GET', '/v1/signingKeys')).body.keys[0];
    const body = { kind: 'REVOCATION_KIND_SIGNING_KEY', id: keyId };
    const refused = await server.asRoot('POST', '/v1/tokens:revoke', body);
    expect(refused.body.reason).toBe('ARGUMENT_INVALID');
    const access = { ...testConfig('').access, tokenAlgorithm: 'EdDSA' } as const;
    await using other = await startTestServer({ access });
    const own = (await other.request('GET', '/v1/signingKeys')).body.keys[0].keyId;
    const old = await other.rootToken();
    await other.asRoot('POST', '/v1/tokens:revoke', { ...body, id: own });
    expect(await whoAmI(other, old)).not.toBe('taken');
    await makeUser(server, 'ada');
    const fresh = await login(other, 'root', 'a password long enough for tests');
    expect(await whoAmI(other, fresh.token)).toBe('taken');
  });
});

describe('who runs the server', () => {
  it('takes no documents away in a snapshot', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'op', { roles: ['operator'] });
    const op = as(server, (await login(server, 'op')).token);
    const { body } = await op('POST', '/v1/snapshots', { wait: '30s' });
    const name = String(body.snapshot.name);
    const refused = await op('GET', `/v1/snapshots/${name}:download`);
    expect([refused.status, refused.body?.reason ?? '']).toEqual([403, 'SCOPE_MISSING']);
  });
});

describe('the audit log', () => {
  it('names the user, whatever a client calls itself, and never a key', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'bob', { scopes: ['users:*:*'] });
    const { token } = await login(server, 'bob');
    const child = await delegate(server, token, { clientId: 'root', scopes: ['users:*:*'] });
    const body = { name: 'made', password: PASSWORD };
    await server.request('POST', '/v1/users', { token: child.token, body });
    const records = await server.asRoot('GET', '/v1/auditRecords?action=user.create');
    const [record] = records.body.records;
    expect([record.actor, record.details.client]).toEqual(['bob', 'root']);
    const key = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:c:*'] });
    const text = String(key.body.text);
    await server.asRoot('DELETE', `/v1/apiKeys/${text}`);
    expect((await server.asRoot('GET', '/v1/auditRecords')).text).not.toContain(text);
  });

  it('tells a login that still owes a code from one that is in', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada');
    const { token } = await login(server, 'ada');
    const path = '/v1/profile/secondFactor';
    const offered = await server.request('POST', path, { token, body: { password: PASSWORD } });
    const totp = new TOTP({ secret: Secret.fromBase32(String(offered.body.secret)) });
    const confirm = { code: totp.generate({ timestamp: clock.now() }) };
    await server.request('POST', `${path}:confirm`, { token, body: confirm });
    clock.advance(90_000);
    const { body } = await tryLogin(server, 'ada');
    const code = totp.generate({ timestamp: clock.now() });
    await server.request('POST', '/v1/sessions:answer', {
      body: { challenge: body.challenge, code },
    });
    const records = await server.asRoot('GET', '/v1/auditRecords?action=session.login&actor=ada');
    const told = records.body.records.map((one: { details: object }) => one.details);
    expect(told[0]).toMatchObject({ tokenId: expect.any(String) as string });
    expect(told[1]).toMatchObject({ challenged: 'true' });
  });
});

describe('the set-up', () => {
  it.each([
    { via: '1.1 proxy' },
    { 'x-forwarded-host': 'example.org' },
    { origin: 'https://evil.example' },
    { 'cf-connecting-ip': '203.0.113.7' },
  ])('is not completed through %j', async (headers) => {
    await using server = await startTestServer({ rootPassword: undefined });
    const body = { password: 'a password from the set-up' };
    const answer = await server.request('POST', '/v1/setup', {
      ...{ body, headers: Object.fromEntries(Object.entries(headers)) },
    });
    expect(answer.body.reason).toBe('SCOPE_MISSING');
  });
});
