import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { ROOT, startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { login, loginAsRoot, makeUser, PASSWORD, read, tryLogin, whoAmI } from './team.ts';

async function put(server: TestServer, path = 'c/documents/k'): Promise<void> {
  await server.asRoot('PUT', `/v1/collections/${path}`, { body: { fields: { n: 1 } } });
}

describe('a user', () => {
  it('is made, shown, changed, listed and removed', async () => {
    await using server = await startTestServer();
    const made = await server.asRoot('POST', '/v1/users', {
      ...{ name: 'ada', password: PASSWORD, roles: ['viewer'], scopes: ['write:c:*'] },
      ...{ displayName: 'Ada L.', email: 'ada@example.org' },
    });
    expect(made.body.user).toMatchObject({
      ...{ name: 'ada', roles: ['viewer'], scopes: ['write:c:*'], state: 'USER_STATE_ACTIVE' },
      ...{ hasPassword: true, email: 'ada@example.org' },
    });
    expect(made.text).not.toContain('argon2');
    expect(made.text).not.toContain(PASSWORD);
    const again = await server.asRoot('POST', '/v1/users', { name: 'ADA', password: PASSWORD });
    expect([again.status, again.body.reason]).toEqual([409, 'USER_EXISTS']);
    const changed = await server.asRoot('PATCH', '/v1/users/ada', { roles: { values: [] } });
    expect(changed.body.user.roles ?? []).toEqual([]);
    expect(changed.body.user.scopes).toEqual(['write:c:*']);
    for (const name of ['bob', 'eve']) await makeUser(server, name);
    const first = await server.asRoot('GET', '/v1/users?pageSize=2');
    const next = String(first.body.nextPageToken);
    const second = await server.asRoot('GET', `/v1/users?pageSize=2&pageToken=${next}`);
    const names = [...first.body.users, ...second.body.users].map(
      (one: { name: string }) => one.name,
    );
    expect(names).toEqual(['ada', 'bob', 'eve', 'root']);
    expect((await server.asRoot('DELETE', '/v1/users/ada')).status).toBe(200);
    expect((await server.asRoot('GET', '/v1/users/ada')).body.reason).toBe('USER_NOT_FOUND');
    expect((await tryLogin(server, 'ada')).body.reason).toBe('CREDENTIAL_INVALID');
  });

  it.each([
    ['a name of another form', { name: '-x' }, 'ARGUMENT_INVALID'],
    ['a name with spaces', { name: 'a b' }, 'ARGUMENT_INVALID'],
    ['an unknown role', { roles: ['nobody'] }, 'ROLE_NOT_FOUND'],
    ['a malformed scope', { scopes: ['read'] }, 'ARGUMENT_INVALID'],
    ['an address of another form', { email: 'x' }, 'ARGUMENT_INVALID'],
    ['a short password', { password: 'short' }, 'PASSWORD_WEAK'],
    ['a common password', { password: 'qwertyuiop123' }, 'PASSWORD_WEAK'],
    ['a common password, dressed up', { password: '!!Iloveyou1234' }, 'PASSWORD_WEAK'],
    ['its name as password', { name: 'alexandra', password: 'Alexandra-1234' }, 'PASSWORD_WEAK'],
    ['one character over and over', { password: 'aaaaaaaaaaaaaaaaaaaa' }, 'PASSWORD_WEAK'],
    ['a pattern', { password: 'abcdeabcdeabcde' }, 'PASSWORD_WEAK'],
    ['an unknown field', { admin: true }, 'ARGUMENT_INVALID'],
  ])('is refused with %s, and nothing is made', async (_, parts, reason) => {
    await using server = await startTestServer();
    const body = { name: 'ada', password: PASSWORD, ...parts };
    const answer = await server.asRoot('POST', '/v1/users', body);
    expect([answer.status, answer.body.reason]).toEqual([
      reason.endsWith('FOUND') ? 404 : 400,
      reason,
    ]);
    expect((await server.asRoot('GET', '/v1/users')).body.users).toHaveLength(1);
  });

  it('may have a long password of any signs, all of which count', async () => {
    await using server = await startTestServer();
    const long = `päßwört 🌍 ${'x y z '.repeat(30)}`;
    await makeUser(server, 'ada', { password: long });
    expect((await tryLogin(server, 'ada', long)).status).toBe(200);
    expect((await tryLogin(server, 'ada', long.slice(0, -1))).status).toBe(401);
    expect((await tryLogin(server, 'ada', long.slice(0, 72))).status).toBe(401);
  });

  it('changes its own password, with the old one, and its other sessions end', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    const [here, there] = [await login(server, 'ada'), await login(server, 'ada')];
    const change = (oldPassword: string, newPassword: string): Promise<TestResponse> =>
      server.request('POST', '/v1/profile:changePassword', {
        ...{ token: here.token, body: { oldPassword, newPassword } },
      });
    expect((await change('wrong', 'another good password')).body.reason).toBe('CREDENTIAL_INVALID');
    expect((await change(PASSWORD, 'short')).body.reason).toBe('PASSWORD_WEAK');
    expect(await whoAmI(server, there.token)).toBe('taken');
    expect((await change(PASSWORD, 'another good passphrase')).status).toBe(200);
    expect(await whoAmI(server, here.token)).toBe('taken');
    expect(await whoAmI(server, there.token)).toBe('CREDENTIAL_REVOKED');
    expect((await tryLogin(server, 'ada')).status).toBe(401);
    expect((await tryLogin(server, 'ada', 'another good passphrase')).status).toBe(200);
    await server.asRoot('POST', '/v1/users/ada:setPassword', { password: 'a third passphrase' });
    expect(await whoAmI(server, here.token)).toBe('CREDENTIAL_REVOKED');
    const own = await server.asRoot('POST', `/v1/users/${ROOT.username}:setPassword`, {
      password: 'a fourth passphrase',
    });
    expect([own.status, own.body.reason]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(own.body.detail).toContain('molten password change');
  });

  it('edits its own profile and nothing else of itself', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada', { roles: ['viewer'] });
    const { token } = await login(server, 'ada');
    const ask = (body: object): Promise<TestResponse> =>
      server.request('PATCH', '/v1/profile', { token, body });
    expect((await ask({ displayName: 'Ada' })).body.user.displayName).toBe('Ada');
    expect((await ask({ roles: { values: ['admin'] } })).body.reason).toBe('ARGUMENT_INVALID');
    const up = await server.request('PATCH', '/v1/users/ada', {
      ...{ token, body: { roles: { values: ['admin'] } } },
    });
    expect(up.body.reason).toBe('SCOPE_MISSING');
  });
});

describe('a role', () => {
  it('takes effect on the next call, when it is given, changed and taken', async () => {
    await using server = await startTestServer();
    await put(server);
    await makeUser(server, 'ada');
    const { token } = await login(server, 'ada');
    expect(await read(server, token)).toBe('SCOPE_MISSING');
    const role = { name: 'clerk', scopes: ['read:other:*'] };
    expect((await server.asRoot('POST', '/v1/roles', role)).status).toBe(200);
    await server.asRoot('PATCH', '/v1/users/ada', { roles: { values: ['clerk'] } });
    const recorded = await server.asRoot('GET', '/v1/auditRecords?action=user.update');
    expect(recorded.body.records[0].details).toMatchObject({ roles: 'clerk' });
    expect(await read(server, token)).toBe('SCOPE_MISSING');
    await server.asRoot('PATCH', '/v1/roles/clerk', { scopes: { values: ['read:c:*'] } });
    expect(await read(server, token)).toBe('taken');
    const inUse = await server.asRoot('DELETE', '/v1/roles/clerk');
    expect([inUse.status, inUse.body.reason]).toEqual([400, 'ROLE_IN_USE']);
    await server.asRoot('PATCH', '/v1/users/ada', { roles: { values: [] } });
    expect(await read(server, token)).toBe('SCOPE_MISSING');
    expect((await server.asRoot('DELETE', '/v1/roles/clerk')).status).toBe(200);
    expect((await server.asRoot('PATCH', '/v1/roles/admin', {})).status).toBe(400);
    expect((await server.asRoot('POST', '/v1/roles', { name: 'admin' })).status).toBe(409);
  });

  it('of one collection never becomes one of the store', async () => {
    await using server = await startTestServer();
    await put(server);
    await makeUser(server, 'ada', { scopes: ['admin:c:*'] });
    const { token } = await login(server, 'ada');
    const body = { body: { fields: {} } };
    const calls: readonly (readonly [string, string, object | undefined, number])[] = [
      ['PUT', '/v1/collections/c/documents/new', body, 200],
      ['DELETE', '/v1/collections/c/documents/new', undefined, 200],
      ['PUT', '/v1/collections/d/documents/new', body, 403],
      ['GET', '/v1/users', undefined, 403],
      ['POST', '/v1/users', { name: 'eve', password: PASSWORD }, 403],
      ['POST', '/v1/roles', { name: 'x', scopes: ['admin:c:*'] }, 403],
      ['POST', '/v1/snapshots', {}, 403],
      ['GET', '/v1/auditRecords', undefined, 403],
      ['POST', '/v1/tokens:revoke', { kind: 'REVOCATION_KIND_ALL' }, 403],
      ['POST', '/v1/signingKeys:rotate', {}, 403],
    ];
    for (const [method, path, content, status] of calls) {
      const options = content === undefined ? { token } : { token, body: content };
      const answer = await server.request(method, path, options);
      expect([path, answer.status]).toEqual([path, status]);
    }
  });
});

describe('who administers users', () => {
  it('raises nobody above itself', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'boss', { scopes: ['users:*:*', 'read:c:*'] });
    await makeUser(server, 'high', { roles: ['editor'] });
    await server.asRoot('POST', '/v1/roles', { name: 'reads-c', scopes: ['read:c:*'] });
    const { token } = await login(server, 'boss');
    const ask = async (method: string, path: string, body?: object): Promise<string> => {
      const options = body === undefined ? { token } : { token, body };
      const answer = await server.request(method, path, options);
      return answer.status === 200 ? 'done' : String(answer.body.reason);
    };
    const password = PASSWORD;
    const refused = 'SCOPE_MISSING';
    expect(await ask('POST', '/v1/users', { name: 'a', password, roles: ['admin'] })).toBe(refused);
    expect(await ask('POST', '/v1/users', { name: 'a', password, scopes: ['read:*:*'] })).toBe(
      refused,
    );
    expect(await ask('POST', '/v1/users', { name: 'a', password, roles: ['reads-c'] })).toBe(
      'done',
    );
    expect(await ask('PATCH', '/v1/users/a', { roles: { values: ['editor'] } })).toBe(refused);
    expect(await ask('PATCH', '/v1/users/boss', { roles: { values: ['admin'] } })).toBe(refused);
    for (const user of ['high', 'root']) {
      expect(await ask('POST', `/v1/users/${user}:setPassword`, { password })).toBe(refused);
      expect(await ask('PATCH', `/v1/users/${user}`, { state: 'USER_STATE_DISABLED' })).toBe(
        refused,
      );
      expect(await ask('POST', `/v1/users/${user}:resetSecondFactor`, {})).toBe(refused);
      expect(await ask('DELETE', `/v1/users/${user}`)).toBe(refused);
    }
    expect(await ask('POST', '/v1/roles', { name: 'r', scopes: ['write:c:*'] })).toBe(refused);
    expect(await ask('PATCH', '/v1/roles/reads-c', { scopes: { values: ['*:*:*'] } })).toBe(
      refused,
    );
    expect(await ask('POST', '/v1/users/a:setPassword', { password })).toBe('done');
    expect(await ask('DELETE', '/v1/users/a')).toBe('done');
  });

  it('cannot leave the store without an administrator', async () => {
    await using server = await startTestServer();
    const refusals = [
      await server.asRoot('DELETE', '/v1/users/root'),
      await server.asRoot('PATCH', '/v1/users/root', { state: 'USER_STATE_LOCKED' }),
      await server.asRoot('PATCH', '/v1/users/root', { roles: { values: ['viewer'] } }),
    ];
    for (const { body } of refusals) expect(body.reason).toBe('LAST_ADMINISTRATOR');
    await makeUser(server, 'second', { roles: ['admin'] });
    expect((await server.asRoot('DELETE', '/v1/users/root')).status).toBe(200);
  });
});

describe('guessing passwords', () => {
  it('makes an account wait, longer each time, known or not, also over a restart', async () => {
    const clock = createManualClock();
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    {
      await using server = await startTestServer({ dbPath }, { clock });
      await makeUser(server, 'ada');
      for (const name of ['ada', 'nobody']) {
        const answers: string[] = [];
        for (let at = 0; at < 6; at++) {
          const { body } = await tryLogin(server, name, 'wrong');
          answers.push(String(body.reason));
        }
        expect(answers).toEqual([...Array<string>(5).fill('CREDENTIAL_INVALID'), 'RATE_LIMITED']);
      }
      // The right password waits as well, so that nothing is learned from it.
      const right = await tryLogin(server, 'ada');
      expect([right.status, right.body.reason]).toEqual([429, 'RATE_LIMITED']);
      expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(10);
    }
    await using server = await startTestServer({ dbPath }, { clock });
    expect((await tryLogin(server, 'ada')).status).toBe(429);
    clock.advance(15_001);
    expect((await tryLogin(server, 'ada', 'wrong')).status).toBe(401);
    clock.advance(15_001);
    expect((await tryLogin(server, 'ada')).status).toBe(429);
    const shown = await server.asRoot('GET', '/v1/users/ada');
    expect(Date.parse(shown.body.user.waitTime)).toBeGreaterThan(clock.now());
    await server.asRoot('POST', '/v1/users/ada:unlock', {});
    expect((await tryLogin(server, 'ada')).status).toBe(200);
  });

  it('makes an address wait that tries many names', async () => {
    await using server = await startTestServer();
    const statuses: number[] = [];
    for (let at = 0; at < 32; at++) {
      statuses.push((await tryLogin(server, `name${String(at)}`, 'wrong')).status);
    }
    expect(statuses.slice(0, 30)).toEqual(Array<number>(30).fill(401));
    expect(statuses.slice(30)).toEqual([429, 429]);
  });

  it('is counted also when many guess side by side', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada');
    // Three at once are looked at, and the others refused unseen.
    for (let round = 0; round < 2; round++) {
      const all = await Promise.all(
        Array.from({ length: 20 }, () => tryLogin(server, 'ada', 'wrong')),
      );
      expect(all.filter(({ status }) => status === 200)).toEqual([]);
    }
    expect((await tryLogin(server, 'ada')).status).toBe(429);
  });

  it('tells a locked and a disabled user from no other failure', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'locked');
    await makeUser(server, 'disabled');
    await server.asRoot('PATCH', '/v1/users/locked', { state: 'USER_STATE_LOCKED' });
    await server.asRoot('PATCH', '/v1/users/disabled', { state: 'USER_STATE_DISABLED' });
    const bodies = new Set<string>();
    for (const [name, password] of [
      ...[
        ['locked', PASSWORD],
        ['disabled', PASSWORD],
        ['nobody', PASSWORD],
      ],
      [ROOT.username, 'wrong'],
    ] as const) {
      const { body, status } = await tryLogin(server, name, password);
      const { requestId: _, instance: __, ...rest } = body;
      bodies.add(JSON.stringify([status, rest]));
    }
    expect([...bodies]).toHaveLength(1);
  });
});

describe('acting as another user', () => {
  it('goes strictly downward, and ends with who does it', async () => {
    await using server = await startTestServer();
    await put(server);
    await makeUser(server, 'support', { scopes: ['impersonate:*:*', 'read:c:*', 'write:c:*'] });
    await makeUser(server, 'peer', { scopes: ['read:c:*', 'write:c:*', 'impersonate:*:*'] });
    await makeUser(server, 'low', { scopes: ['read:c:*'] });
    await makeUser(server, 'other', { scopes: ['read:d:*'] });
    const support = await login(server, 'support');
    const act = (name: string, token = support.token): Promise<TestResponse> =>
      server.request('POST', `/v1/users/${name}:impersonate`, { token, body: {} });
    for (const name of ['root', 'peer', 'other', 'support']) {
      expect([name, (await act(name)).body.reason]).toEqual([name, 'SCOPE_MISSING']);
    }
    expect((await act('nobody')).body.reason).toBe('USER_NOT_FOUND');
    const { body } = await act('low');
    expect(body.principal).toMatchObject({ subject: 'low', impersonator: 'support' });
    const token = String(body.token);
    expect(await read(server, token)).toBe('taken');
    // It neither acts as somebody else again, nor changes the user's own things.
    expect((await act('low', token)).body.reason).toBe('SCOPE_MISSING');
    const steal = await server.request('POST', '/v1/profile:changePassword', {
      ...{ token, body: { oldPassword: PASSWORD, newPassword: 'a new passphrase' } },
    });
    expect(steal.body.reason).toBe('SCOPE_MISSING');
    const key = await server.request('POST', '/v1/apiKeys', {
      ...{ token, body: { scopes: ['read:c:*'] } },
    });
    expect(key.body.reason).toBe('SCOPE_MISSING');
    const lasting = await server.request('POST', '/v1/tokens', {
      ...{ token, body: { clientId: 'x', scopes: ['read:c:*'] } },
    });
    expect(lasting.body.reason).toBe('SCOPE_MISSING');
    const records = await server.asRoot('GET', '/v1/auditRecords?action=session.impersonate');
    expect(records.text).toContain('support');
    await server.request('DELETE', '/v1/sessions/current', { token: support.token });
    expect(await read(server, token)).toBe('CREDENTIAL_REVOKED');
  });

  it('is not for who has lost the right, or is gone', async () => {
    await using server = await startTestServer();
    await put(server);
    await makeUser(server, 'support', { scopes: ['impersonate:*:*', 'read:c:*', 'write:c:*'] });
    await makeUser(server, 'low', { scopes: ['read:c:*'] });
    const support = await login(server, 'support');
    const { body } = await server.request('POST', '/v1/users/low:impersonate', {
      ...{ token: support.token, body: {} },
    });
    await server.asRoot('PATCH', '/v1/users/support', { scopes: { values: [] } });
    expect(await read(server, body.token)).toBe('SCOPE_MISSING');
    await server.asRoot('DELETE', '/v1/users/support');
    expect(await read(server, body.token)).toBe('CREDENTIAL_REVOKED');
  });
});

describe('the root user', () => {
  it('keeps a password that it chose, until the configuration has another one', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const chosen = 'what root has chosen itself';
    {
      await using server = await startTestServer({ dbPath });
      const { token } = await loginAsRoot(server);
      const body = { oldPassword: ROOT.password, newPassword: chosen };
      await server.request('POST', '/v1/profile:changePassword', { token, body });
    }
    {
      await using server = await startTestServer({ dbPath });
      expect((await tryLogin(server, 'root', chosen)).status).toBe(200);
      expect((await tryLogin(server, 'root', ROOT.password)).status).toBe(401);
    }
    const rootPassword = 'a password from the operator';
    await using server = await startTestServer({ dbPath, rootPassword });
    expect((await tryLogin(server, 'root', rootPassword)).status).toBe(200);
  });

  it('gets its password once, by the set-up, when the configuration has none', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const password = 'a password from the set-up';
    {
      await using server = await startTestServer({ dbPath, rootPassword: undefined });
      expect((await server.request('GET', '/v1/setup')).body).toEqual({ open: true });
      expect((await tryLogin(server, 'root', password)).body.reason).toBe('SETUP_REQUIRED');
      const complete = (body: object, headers = {}): Promise<TestResponse> =>
        server.request('POST', '/v1/setup', { body, headers });
      const forwarded = { 'x-forwarded-for': '203.0.113.7' };
      expect((await complete({ password }, forwarded)).body.reason).toBe('SCOPE_MISSING');
      expect((await complete({ password: 'short' })).body.reason).toBe('PASSWORD_WEAK');
      const both = await Promise.all([complete({ password }), complete({ password })]);
      expect(both.map(({ status }) => status).sort()).toEqual([200, 400]);
      expect((await complete({ password })).body.reason).toBe('SETUP_CLOSED');
      expect((await tryLogin(server, 'root', password)).status).toBe(200);
    }
    await using server = await startTestServer({ dbPath, rootPassword: undefined });
    expect((await server.request('GET', '/v1/setup')).body).toEqual({ open: false });
    const again = await server.request('POST', '/v1/setup', { body: { password } });
    expect(again.body.reason).toBe('SETUP_CLOSED');
  });
});
