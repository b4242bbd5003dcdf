import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ROOT, startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { named } from './listed.ts';

const PASSWORD = 'seven wet sparrows';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** A request of the administrator. */
function admin(method: string, path: string, body?: unknown): Promise<TestResponse> {
  return server.asRoot(method, `/v1/auth${path}`, body);
}

async function register(username: string): Promise<void> {
  const { status } = await admin('POST', '/register', { username, password: PASSWORD });
  expect(status).toBe(200);
}

async function login(username: string, password = PASSWORD): Promise<string> {
  const body = { username, password };
  const { body: answer } = await server.request('POST', '/v1/auth/login', { body });
  return String(answer.token);
}

interface Row {
  readonly collection: string;
  readonly read?: boolean;
  readonly write?: boolean;
  readonly admin?: boolean;
}

async function permit(username: string, row: Row): Promise<void> {
  const { status, body } = await admin('POST', '/permissions', { username, ...row });
  expect([status, body]).toEqual([200, { status: 'ok' }]);
}

/** What a token may do with documents of a collection: some of r, w and d. */
async function rights(token: string, collection: string): Promise<string> {
  const path = `/v1/collections/${collection}/documents/k`;
  const tried = [
    ['w', 'PUT', { body: { fields: { n: 1 } } }],
    ['r', 'GET', undefined],
    ['d', 'DELETE', undefined],
  ] as const;
  let found = '';
  for (const [right, method, body] of tried) {
    const sent = body === undefined ? {} : { body };
    const { status } = await server.request(method, path, { token, ...sent });
    if (status !== 403) found += right;
  }
  return found;
}

describe('/login and /me', () => {
  it('give a token for a day, and tell who calls', async () => {
    const { status, body } = await server.request('POST', '/v1/auth/login', { body: ROOT });
    expect([status, Object.keys(body)]).toEqual([200, ['token', 'expiresAt']]);
    expect(body.expiresAt - Date.now() / 1000).toBeGreaterThan(86_300);
    for (const method of ['GET', 'POST']) {
      const me = await server.request(method, '/v1/auth/me', { token: body.token });
      expect(me.body).toEqual({ username: 'root', admin: true, createdAt: expect.any(Number) });
      expect(me.body.createdAt).toBeGreaterThan(1_700_000_000);
    }
  });

  it('refuse an unknown user, a wrong password and a disabled user alike', async () => {
    await register('gone');
    await admin('DELETE', '/users/gone');
    for (const body of [
      { username: 'nobody', password: 'x' },
      { ...ROOT, password: 'x' },
      { username: 'gone', password: PASSWORD },
      { username: '', password: '' },
      {},
      { username: 'root', password: 'x'.repeat(2000) },
    ]) {
      const answer = await server.request('POST', '/v1/auth/login', { body });
      expect([answer.status, answer.body]).toEqual([401, { error: 'invalid credentials' }]);
    }
  });

  it.each([['{'], ['[]'], ['null'], ['"x"'], [''], ['{"username":1,"password":"x"}']])(
    'refuse the body %j',
    async (body) => {
      const answer = await server.request('POST', '/v1/auth/login', { body });
      expect(answer.status).toBe(400);
      expect(answer.body.error).toContain('invalid request');
    },
  );

  it('take a body of any content type, as curl -d sends it', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = JSON.stringify(ROOT);
    expect((await server.request('POST', '/v1/auth/login', { body, headers })).status).toBe(200);
  });
});

describe('/register and /users', () => {
  it('make, list and disable', async () => {
    const made = await admin('POST', '/register', { username: 'alice', password: PASSWORD });
    expect([made.status, made.body]).toEqual([
      200,
      { username: 'alice', createdAt: expect.any(Number) },
    ]);
    const token = await login('alice');
    const again = await admin('POST', '/register', { username: 'alice', password: PASSWORD });
    expect([again.status, again.body]).toEqual([409, { error: 'user already exists' }]);
    const gone = await admin('DELETE', '/users/alice');
    expect([gone.status, gone.body]).toEqual([200, { status: 'deleted' }]);
    const after = await server.request('GET', '/v1/auth/me', { token });
    expect([after.status, after.body]).toEqual([401, { error: 'invalid token' }]);
    const { body } = await admin('GET', '/users');
    expect(body.users).toContainEqual({
      ...{ username: 'alice', createdAt: made.body.createdAt, disabled: true, admin: false },
      groups: [],
    });
    expect(body.users.find(named('root'))).toMatchObject({ admin: true });
    const taken = await admin('POST', '/register', { username: 'alice', password: PASSWORD });
    expect(taken.status).toBe(409);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['no password', { username: 'b' }, /^password required$/],
    ['an empty password', { username: 'b', password: '' }, /^password required$/],
    ['a weak password', { username: 'b', password: 'secret123' }, /at least 12/],
    ['a password beyond the bound', { username: 'b', password: 'ab c'.repeat(500) }, /1024|1,024/],
    ['no name', { password: PASSWORD }, /^username required$/],
    ['a malformed name', { username: 'a b', password: PASSWORD }, /no user name/],
    ['a tenant', { username: 'b', password: PASSWORD, tenant: 't' }, /^tenants are not supported$/],
    ['a number', { username: 1, password: PASSWORD }, /^invalid request/],
  ])('refuse %s with 400', async (_, body, error) => {
    const answer = await admin('POST', '/register', body);
    expect([answer.status, answer.body.error]).toEqual([400, expect.stringMatching(error)]);
  });

  it('take a password of 73 bytes and more whole', async () => {
    const password = `${'long words '.repeat(9)}end`;
    const made = await admin('POST', '/register', { username: 'long', password });
    expect(made.status).toBe(200);
    const cut = { username: 'long', password: password.slice(0, 72) };
    expect((await server.request('POST', '/v1/auth/login', { body: cut })).status).toBe(401);
    expect(await login('long', password)).toMatch(/^ey/);
  });

  it('know whom they do not know, and keep one administrator', async () => {
    const unknown = await admin('DELETE', '/users/nobody');
    expect([unknown.status, unknown.body]).toEqual([404, { error: 'user not found' }]);
    const last = await admin('DELETE', '/users/root');
    expect([last.status, last.body.error]).toEqual([
      409,
      expect.stringContaining('another administrator'),
    ]);
  });
});

describe('/permissions', () => {
  it('grant what their rows say', async () => {
    await register('carol');
    const token = await login('carol');
    expect(await rights(token, 'blog')).toBe('');
    await permit('carol', { collection: 'blog', read: true });
    expect(await rights(token, 'blog')).toBe('r');
    await permit('carol', { collection: 'blog', read: true, write: true });
    expect(await rights(token, 'blog')).toBe('wrd');
    await permit('carol', { collection: '*', read: true });
    await permit('carol', { collection: 'secret' });
    expect([await rights(token, 'other'), await rights(token, 'secret')]).toEqual(['r', '']);
    await permit('carol', { collection: 'blog', write: true });
    expect(await rights(token, 'blog')).toBe('wd');
    const { body } = await admin('GET', '/permissions?username=carol');
    expect(body).toEqual([
      { username: 'carol', collection: '*', read: true, write: false, admin: false },
      { username: 'carol', collection: 'blog', read: false, write: true, admin: false },
      { username: 'carol', collection: 'secret', read: false, write: false, admin: false },
    ]);
  });

  it('of one collection never make an administrator', async () => {
    await register('dave');
    await permit('dave', { collection: 'blog', read: true, write: true, admin: true });
    const token = await login('dave');
    expect(await rights(token, 'blog')).toBe('wrd');
    expect(await rights(token, 'other')).toBe('');
    expect((await server.request('GET', '/v1/auth/me', { token })).body.admin).toBe(false);
    const users = await server.request('GET', '/v1/auth/users', { token });
    expect([users.status, users.body]).toEqual([403, { error: 'admin access required' }]);
    const self = { username: 'dave', collection: '*', admin: true };
    const raise = await server.request('POST', '/v1/auth/permissions', { token, body: self });
    expect(raise.status).toBe(403);
  });

  it('of all collections make one, at once and for as long as they stand', async () => {
    await register('erin');
    const token = await login('erin');
    await permit('erin', { collection: 'blog', read: true });
    await permit('erin', { collection: '*', read: true, write: true, admin: true });
    expect((await server.request('GET', '/v1/auth/users', { token })).status).toBe(200);
    expect(await rights(token, 'blog')).toBe('wrd');
    await permit('erin', { collection: '*', read: true, write: true });
    expect((await server.request('GET', '/v1/auth/users', { token })).status).toBe(403);
    expect([await rights(token, 'blog'), await rights(token, 'x')]).toEqual(['r', 'wrd']);
  });

  it('leave alone what no row says', async () => {
    const scopes = ['hide:blog:pay', 'snapshot:*:*', 'read:blog:eu-*', 'read:docs:*'];
    await server.asRoot('POST', '/v1/users', { name: 'frank', password: PASSWORD, scopes });
    await permit('frank', { collection: 'blog', write: true });
    const { body } = await server.asRoot('GET', '/v1/users/frank');
    expect(body.user.scopes).toEqual([
      ...['hide:blog:pay', 'snapshot:*:*', 'read:docs:*', 'write:blog:*', 'delete:blog:*'],
      'only:blog:*',
    ]);
  });

  it('come one after the other', async () => {
    await register('grace');
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(names.map((collection) => permit('grace', { collection, read: true })));
    const { body } = await admin('GET', '/permissions?username=grace');
    expect(body.map(({ collection }: Row) => collection)).toEqual(names);
  });

  it.each<[string, string, unknown, number, string]>([
    ['GET', '/permissions', undefined, 400, 'username parameter required'],
    ['GET', '/permissions?username=a&username=b', undefined, 400, 'username parameter required'],
    ['GET', '/permissions?username=nobody', undefined, 404, 'user not found'],
    ['POST', '/permissions', { username: 'nobody', collection: 'a' }, 404, 'user not found'],
    ['POST', '/permissions', { username: 'root' }, 400, 'collection required'],
    ['POST', '/permissions', { collection: 'a' }, 400, 'username required'],
    ['POST', '/permissions', { username: 'root', collection: 'a', read: 1 }, 400, 'read must be'],
    ['POST', '/permissions', { username: 'root', collection: 'a b' }, 400, 'invalid collection'],
    ['POST', '/permissions', { username: 'root', collection: 'a:*' }, 400, 'three parts'],
    ['POST', '/permissions', { username: 'root', collection: '$users' }, 400, 'invalid collection'],
  ])('%s %s %j gives %i', async (...[method, path, body, status, error]) => {
    const answer = await admin(method, path, body);
    expect([answer.status, answer.body.error]).toEqual([status, expect.stringContaining(error)]);
  });
});

describe('/groups and /group-permissions', () => {
  it('grant to their members, and only ever add', async () => {
    for (const name of ['hugo', 'iris']) await register(name);
    const made = await admin('POST', '/groups', {
      ...{ name: 'devs', description: 'Developers', members: ['iris', 'hugo', 'iris'] },
    });
    const group = { name: 'devs', description: 'Developers', members: ['hugo', 'iris'] };
    expect([made.status, made.body]).toEqual([201, { ...group, createdAt: 0 }]);
    for (const row of [
      { collection: 'blog', read: true, write: true, admin: false },
      { collection: '*', read: true },
      { collection: 'blog', read: true },
    ]) {
      const set = await admin('POST', '/group-permissions', { groupName: 'devs', ...row });
      expect([set.status, set.body]).toEqual([200, { status: 'permission set' }]);
    }
    const rows = await admin('GET', '/group-permissions?group=devs');
    expect(rows.body.permissions).toEqual([
      { groupName: 'devs', collection: '*', read: true, write: false, admin: false },
      { groupName: 'devs', collection: 'blog', read: true, write: false, admin: false },
    ]);
    await permit('hugo', { collection: 'blog', write: true });
    const token = await login('hugo');
    expect([await rights(token, 'blog'), await rights(token, 'x')]).toEqual(['wrd', 'r']);
    const { body } = await admin('GET', '/users');
    expect(body.users.find(named('iris')).groups).toEqual(['devs']);
    const changed = await admin('PUT', '/groups/devs', { members: ['iris'] });
    expect(changed.body).toEqual({ ...group, members: ['iris'], createdAt: 0 });
    expect(await rights(token, 'x')).toBe('');
    expect((await admin('GET', '/groups')).body).toEqual({ groups: [changed.body] });
    const described = await admin('PUT', '/groups/devs', { description: 'D' });
    expect(described.body).toMatchObject({ description: 'D', members: ['iris'] });
    expect((await admin('GET', '/groups/devs')).body).toEqual(described.body);
    expect((await admin('DELETE', '/groups/devs')).body).toEqual({ status: 'deleted' });
    expect((await admin('GET', '/groups')).body).toEqual({ groups: [] });
  });

  it.each<[string, string, unknown, number, string]>([
    ['GET', '/groups/nobody', undefined, 404, 'group not found'],
    ['PUT', '/groups/nobody', {}, 404, 'group not found'],
    ['DELETE', '/groups/nobody', undefined, 404, 'group not found'],
    ['DELETE', '/groups/admin', undefined, 404, 'group not found'],
    ['GET', '/group-permissions?group=nobody', undefined, 404, 'group not found'],
    ['GET', '/group-permissions', undefined, 400, 'group parameter required'],
    ['POST', '/group-permissions', { groupName: 'no', collection: 'a' }, 404, 'group not found'],
    ['POST', '/group-permissions', { collection: 'a' }, 400, 'group name is required'],
    ['POST', '/groups', {}, 400, 'group name is required'],
    ['POST', '/groups', { name: 'a b' }, 400, 'no name of a role'],
    ['POST', '/groups', { name: 'x'.repeat(60) }, 400, 'name'],
    ['POST', '/groups', { name: 'x', members: 'root' }, 400, 'members must be'],
    ['POST', '/groups', { name: 'x', members: ['nobody'] }, 404, 'user not found'],
  ])('%s %s %j gives %i', async (...[method, path, body, status, error]) => {
    const answer = await admin(method, path, body);
    expect([answer.status, answer.body.error]).toEqual([status, expect.stringContaining(error)]);
  });

  it('exist once', async () => {
    await admin('POST', '/groups', { name: 'once' });
    const again = await admin('POST', '/groups', { name: 'once' });
    expect([again.status, again.body]).toEqual([409, { error: 'group already exists' }]);
  });
});

describe('/api-key and /api-keys', () => {
  it('make keys that do what their owner may, taken from either header', async () => {
    await register('jack');
    await permit('jack', { collection: 'blog', read: true });
    const token = await login('jack');
    const expiresAt = Math.floor(Date.now() / 1000) + 3600;
    const made = await server.request('POST', '/v1/auth/api-key', {
      ...{ token, body: { description: 'CI', expiresAt } },
    });
    expect([made.status, made.body]).toEqual([
      200,
      {
        ...{ key: expect.stringMatching(/^mk_live_/), description: 'CI', expiresAt },
        createdAt: expect.any(Number),
      },
    ]);
    const { key } = made.body;
    expect(await rights(key, 'blog')).toBe('r');
    for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${String(key)}` }]) {
      const me = await server.request('GET', '/v1/auth/me', { headers });
      expect(me.body).toEqual({ username: 'jack', admin: false, createdAt: 0 });
    }
    const forever = await server.request('POST', '/v1/auth/api-key', { token, body: {} });
    expect(forever.body.expiresAt).toBe(0);
    const list = await server.request('GET', '/v1/auth/api-keys', { token });
    expect(list.text).not.toContain(key);
    expect(list.body.keys).toHaveLength(2);
    const { keyHash } = list.body.keys.find(named('CI'));
    await permit('jack', { collection: 'blog' });
    expect(await rights(key, 'blog')).toBe('');
    const ended = await server.request('DELETE', `/v1/auth/api-keys/${String(keyHash)}`, { token });
    expect([ended.status, ended.body]).toEqual([200, { status: 'deleted' }]);
    const dead = await server.request('GET', '/v1/auth/me', { headers: { 'x-api-key': key } });
    expect([dead.status, dead.body]).toEqual([401, { error: 'invalid api key' }]);
    await admin('DELETE', '/users/jack');
    const after = await server.request('GET', '/v1/auth/me', { token: forever.body.key });
    expect([after.status, after.body]).toEqual([401, { error: 'invalid api key' }]);
  });

  it('are the business of their owner', async () => {
    await register('kate');
    await permit('kate', { collection: 'blog', read: true });
    const token = await login('kate');
    const made = await admin('POST', '/api-key', { description: 'of root' });
    const list = await admin('GET', '/api-keys');
    const { keyHash } = list.body.keys.find(named('of root'));
    expect((await server.request('GET', '/v1/auth/api-keys', { token })).body).toEqual({
      keys: [],
    });
    const other = await server.request('DELETE', `/v1/auth/api-keys/${String(keyHash)}`, { token });
    expect([other.status, other.body]).toEqual([404, { error: 'api key not found' }]);
    const body = { description: 'by a key' };
    const breed = await server.request('POST', '/v1/auth/api-key', { token: made.body.key, body });
    expect([breed.status, breed.body]).toEqual([403, { error: 'forbidden' }]);
  });

  it.each<[unknown, RegExp]>([
    [{ expiresAt: 1 }, /in the past/],
    [{ expiresAt: -1 }, /Unix seconds/],
    [{ expiresAt: '1' }, /Unix seconds/],
    [{ expiresAt: 1.5 }, /Unix seconds/],
    [{ expiresAt: 1e15 }, /Unix seconds/],
    [{ description: 7 }, /description must be/],
    [{ description: 'x'.repeat(300) }, /256/],
  ])('refuse %j', async (body, error) => {
    const answer = await admin('POST', '/api-key', body);
    expect([answer.status, answer.body.error]).toEqual([400, expect.stringMatching(error)]);
  });

  it('are not made for who may do nothing', async () => {
    await register('lena');
    const token = await login('lena');
    const answer = await server.request('POST', '/v1/auth/api-key', { token, body: {} });
    expect(answer.status).toBe(400);
  });
});

describe('the documented change of the first administrator', () => {
  it('works to the letter', async () => {
    await using fresh = await startTestServer();
    const password = 'strong-parrots-here';
    await fresh.asRoot('POST', '/v1/auth/register', { username: 'newadmin', password });
    const row = { collection: '*', read: true, write: true, admin: true };
    await fresh.asRoot('POST', '/v1/auth/permissions', { username: 'newadmin', ...row });
    const body = { username: 'newadmin', password };
    const token = String((await fresh.request('POST', '/v1/auth/login', { body })).body.token);
    const gone = await fresh.request('DELETE', '/v1/auth/users/root', { token });
    expect([gone.status, gone.body]).toEqual([200, { status: 'deleted' }]);
  });
});
