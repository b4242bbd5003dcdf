import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { delegate, login, makeUser, read, whoAmI, type Delegated, type Signed } from './team.ts';

const SCOPE = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom('users:*:*', 'snapshot:*:*', 'hide:c:pay', 'only:d:*') },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.constantFrom('read', 'write', 'delete', 'schema', 'admin'),
        fc.constantFrom('c', 'd', '*'),
        fc.constantFrom('*', 'a', 'ab', 'a*', 'ab*'),
      )
      .map((parts) => parts.join(':')),
  },
);

describe('a chain of delegations', () => {
  it('never grants more than the token before, whatever is asked for', async () => {
    await using server = await startTestServer();
    const steps = fc.array(fc.array(SCOPE, { minLength: 1, maxLength: 4 }), {
      ...{ minLength: 2, maxLength: 5 },
    });
    let made = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (chain) => {
        let token = await server.rootToken();
        let held = createScopeSet(['*:*:*']);
        for (const scopes of chain) {
          const body = { clientId: 'x', scopes };
          const answer = await server.request('POST', '/v1/tokens', { token, body });
          const asked = createScopeSet(scopes);
          // A step that asks for more is refused; one that does not is made.
          const isWithin = createScopeSet([...asked.texts, ...held.restrictions]).isWithin(held);
          expect([scopes, answer.status]).toEqual([scopes, isWithin ? 200 : 403]);
          if (!isWithin) continue;
          made += 1;
          token = String(answer.body.token);
          const who = await server.request('GET', '/v1/sessions/current', { token });
          const now = createScopeSet(who.body.principal.scopes);
          expect(now.isWithin(held), `${now.texts.join()} within ${held.texts.join()}`).toBe(true);
          held = now;
        }
      }),
      { numRuns: 60 },
    );
    expect(made).toBeGreaterThan(60);
  }, 60_000);

  it('is eight deep at most, and lives no longer than any of it', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    let token = await server.rootToken();
    const ask = (ttl: string): Promise<TestResponse> =>
      server.request('POST', '/v1/tokens', {
        ...{ token, body: { clientId: 'x', scopes: ['read:c:*'], ttl } },
      });
    let end = Infinity;
    for (let depth = 1; depth <= 8; depth++) {
      const { body, status } = await ask('31622400s');
      expect([depth, status]).toEqual([depth, 200]);
      const ends = Date.parse(body.principal.expireTime);
      expect(ends).toBeLessThanOrEqual(end);
      end = ends;
      token = String(body.token);
    }
    const ninth = await ask('60s');
    expect([ninth.status, ninth.body.reason]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(ninth.body.detail).toContain('8 delegations deep');
    clock.advance(400 * 24 * 3_600_000);
    expect(await whoAmI(server, token)).toBe('CREDENTIAL_EXPIRED');
  });

  it('shrinks with the rights of its user', async () => {
    await using server = await startTestServer();
    for (const name of ['c', 'd']) {
      await server.asRoot('PUT', `/v1/collections/${name}/documents/k`, { body: { fields: {} } });
    }
    await makeUser(server, 'ada', { scopes: ['read:*:*'] });
    const { token } = await login(server, 'ada');
    const first = await delegate(server, token, ['read:*:*']);
    const second = await delegate(server, first.token, ['read:c:*', 'read:d:*']);
    await server.asRoot('PATCH', '/v1/users/ada', { scopes: { values: ['read:d:*'] } });
    expect(await read(server, second.token, 'c')).toBe('SCOPE_MISSING');
    expect(await read(server, second.token, 'd')).toBe('taken');
    const third = await server.request('POST', '/v1/tokens', {
      ...{ token: second.token, body: { clientId: 'x', scopes: ['read:c:*'] } },
    });
    expect(third.body.reason).toBe('SCOPE_MISSING');
  });

  it('shares the bound of calls of a token with all that it delegates', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const body = { clientId: 'x', scopes: ['read:c:*'], callsPerMinute: 5 };
    const made = await server.asRoot('POST', '/v1/tokens', body);
    const parent = String(made.body.token);
    const children = [await delegate(server, parent, ['read:c:*'])];
    children.push(await delegate(server, children[0]?.token ?? '', ['read:c:*']));
    // Two calls of the parent's five were made: the delegation of the one, and that of the other.
    const statuses: string[] = [];
    for (const { token } of [...children, ...children]) statuses.push(await whoAmI(server, token));
    expect(statuses).toEqual(['taken', 'taken', 'taken', 'RATE_LIMITED']);
    expect(await whoAmI(server, parent)).toBe('RATE_LIMITED');
    expect(await whoAmI(server, await server.rootToken())).toBe('taken');
    clock.advance(120_000);
    expect(await whoAmI(server, parent)).toBe('taken');
  });

  it('goes on below a token that is renewed', async () => {
    await using server = await startTestServer();
    await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: {} } });
    const parent = await delegate(server, await server.rootToken(), ['read:c:*']);
    const child = await delegate(server, parent.token, ['read:c:*']);
    const renew = (token: string): Promise<TestResponse> =>
      server.request('POST', '/v1/tokens:refresh', { token, body: {} });
    const { body } = await renew(parent.token);
    expect(body.principal.tokenId).toBe(`${parent.tokenId}.1`);
    expect(await read(server, parent.token)).toBe('CREDENTIAL_REVOKED');
    expect(await read(server, body.token)).toBe('taken');
    expect(await read(server, child.token)).toBe('taken');
    const both = await Promise.all([renew(body.token), renew(body.token)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 401]);
    const next = both.find(({ status }) => status === 200)?.body;
    expect(await isShownRevoked(server, parent.tokenId)).toBe(false);
    // Any of its ids ends the delegation and what is below it.
    await server.asRoot('DELETE', `/v1/tokens/${parent.tokenId}`);
    expect(await read(server, next.token)).toBe('CREDENTIAL_REVOKED');
    expect(await read(server, child.token)).toBe('CREDENTIAL_REVOKED');
    expect(await isShownRevoked(server, parent.tokenId)).toBe(true);
    const again = { kind: 'REVOCATION_KIND_ALL' };
    const { body: preview } = await server.asRoot('POST', '/v1/tokens:previewRevocation', again);
    expect(preview.impact.tokens).toBe('0');
  });

  async function isShownRevoked(server: TestServer, tokenId: string): Promise<unknown> {
    return (await server.asRoot('GET', `/v1/tokens/${tokenId}`)).body.token.revoked;
  }
});

describe('the tree of delegations', () => {
  it('is seen by who may control tokens, and below a token by its holder', async () => {
    await using server = await startTestServer();
    const root = await server.rootToken();
    const a = await delegate(server, root, { clientId: 'a', scopes: ['read:c:*'] });
    const ab = await delegate(server, a.token, { clientId: 'ab', scopes: ['read:c:*'] });
    await delegate(server, ab.token, { clientId: 'abc', scopes: ['read:c:k*'] });
    const d = await delegate(server, root, { clientId: 'd', scopes: ['read:c:*'] });
    const list = async (token: string, parent = ''): Promise<readonly string[]> => {
      const names: string[] = [];
      for (let page = ''; ;) {
        const query = new URLSearchParams({ parentId: parent, pageSize: '2', pageToken: page });
        const { body } = await server.request('GET', `/v1/tokens?${query.toString()}`, { token });
        for (const one of body.tokens ?? []) {
          names.push(`${String(one.depth)}${String(one.clientId)}`);
        }
        page = String(body.nextPageToken);
        if (page === '') return names.sort();
      }
    };
    expect(await list(root)).toEqual(['1a', '1d', '2ab', '3abc']);
    expect(await list(root, ab.tokenId)).toEqual(['2ab', '3abc']);
    expect(await list(a.token)).toEqual(['1a', '2ab', '3abc']);
    expect(await list(d.token)).toEqual(['1d']);
    const get = (id: string, token: string): Promise<TestResponse> =>
      server.request('GET', `/v1/tokens/${id}`, { token });
    expect((await get(a.tokenId, d.token)).body.reason).toBe('TOKEN_NOT_FOUND');
    expect((await get(a.tokenId, ab.token)).body.reason).toBe('TOKEN_NOT_FOUND');
    expect((await get(ab.tokenId, a.token)).body.token).toMatchObject({
      ...{ clientId: 'ab', parentId: a.tokenId, user: 'root', revoked: false },
    });
    // A holder ends what it has delegated, and nothing else.
    const end = (id: string, token: string): Promise<TestResponse> =>
      server.request('DELETE', `/v1/tokens/${id}`, { token });
    for (const id of [a.tokenId, ab.tokenId, 'unknown']) {
      expect((await end(id, d.token)).body.reason).toBe('SCOPE_MISSING');
    }
    expect((await end(ab.tokenId, a.token)).status).toBe(200);
    expect((await get(ab.tokenId, root)).body.token.revoked).toBe(true);
    expect(await list(root)).toEqual(['1a', '1d', '2ab', '3abc']);
    expect((await end('unknown', root)).status).toBe(200);
  });
});

/** A team whose every credential some revocation concerns. */
interface Scene {
  readonly server: TestServer;
  readonly session: Signed;
  readonly other: Signed;
  readonly parent: Delegated;
  readonly child: Delegated;
  readonly cousin: Delegated;
  readonly key: { readonly text: string; readonly id: string };
  readonly keyChild: Delegated;
}

async function makeScene(dbPath: string): Promise<Scene> {
  const server = await startTestServer({ dbPath });
  const scopes = ['read:c:*'];
  await makeUser(server, 'ada', { scopes });
  await makeUser(server, 'bob', { scopes });
  const [session, other] = [await login(server, 'ada'), await login(server, 'bob')];
  const parent = await delegate(server, session.token, { clientId: 'parent', scopes });
  const child = await delegate(server, parent.token, { clientId: 'child', scopes });
  const cousin = await delegate(server, other.token, { clientId: 'child', scopes });
  const made = await server.request('POST', '/v1/apiKeys', {
    ...{ token: session.token, body: { scopes } },
  });
  const key = { text: String(made.body.text), id: String(made.body.apiKey.apiKeyId) };
  const keyChild = await delegate(server, key.text, { clientId: 'of-key', scopes });
  return { server, session, other, parent, child, cousin, key, keyChild };
}

type Credential = 'session' | 'other' | 'parent' | 'child' | 'cousin' | 'key' | 'keyChild';
const CREDENTIALS: readonly Credential[] = [
  ...(['session', 'other', 'parent', 'child', 'cousin', 'key', 'keyChild'] as const),
];

/** Every kind of revocation, and whom it takes down. */
const KINDS: Readonly<
  Record<string, { readonly id: (scene: Scene) => string; readonly falls: readonly Credential[] }>
> = {
  TOKEN: { id: ({ parent }) => parent.tokenId, falls: ['parent', 'child'] },
  SESSION: { id: ({ session }) => session.sessionId, falls: ['session'] },
  USER_SESSIONS: { id: () => 'bob', falls: ['other'] },
  USER: { id: () => 'ada', falls: ['session', 'parent', 'child', 'key', 'keyChild'] },
  CLIENT: { id: () => 'child', falls: ['child', 'cousin'] },
  ALL: { id: () => '', falls: CREDENTIALS },
};

async function textOf(scene: Scene, name: Credential): Promise<string> {
  const credential = scene[name];
  return await whoAmI(scene.server, 'text' in credential ? credential.text : credential.token);
}

async function revoke(scene: Scene, kind: string, isPreview = false): Promise<TestResponse> {
  const id = KINDS[kind]?.id(scene) ?? '';
  const path = `/v1/tokens:${isPreview ? 'previewRevocation' : 'revoke'}`;
  return await scene.server.asRoot('POST', path, { kind: `REVOCATION_KIND_${kind}`, id });
}

/** What these kinds take down is refused, and everything else is taken. */
async function expectFallen(scene: Scene, kinds: readonly string[]): Promise<void> {
  const fallen = new Set(kinds.flatMap((kind) => KINDS[kind]?.falls ?? []));
  for (const name of CREDENTIALS) {
    const isDown = (await textOf(scene, name)) !== 'taken';
    expect([name, isDown]).toEqual([name, fallen.has(name)]);
  }
}

describe('a revocation', () => {
  const names = Object.keys(KINDS);
  const pairs = names.flatMap((one) => names.map((two) => [one, two] as const));

  it.each(pairs)('of kind %s and then %s takes down what either does', async (one, two) => {
    using directory = createTemporaryDirectory();
    const scene = await makeScene(directory.path);
    try {
      const preview = await revoke(scene, one, true);
      const first = await revoke(scene, one);
      expect(first.body.impact).toEqual(preview.body.impact);
      await expectFallen(scene, [one]);
      // The token of root has fallen with everything.
      if (one === 'ALL') return;
      expect((await revoke(scene, two)).status).toBe(200);
      await expectFallen(scene, [one, two]);
    } finally {
      await scene.server.close();
    }
    // And over a restart.
    await using server = await startTestServer({ dbPath: directory.path });
    await expectFallen({ ...scene, server }, [one, two]);
  });

  it('lets what is made afterwards live, also within the same millisecond', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    await makeUser(server, 'ada', { scopes: ['read:c:*'] });
    const before = await login(server, 'ada');
    for (const kind of ['USER', 'USER_SESSIONS']) {
      const body = { kind: `REVOCATION_KIND_${kind}`, id: 'ada' };
      expect((await server.asRoot('POST', '/v1/tokens:revoke', body)).status).toBe(200);
      expect(await whoAmI(server, before.token)).toBe('CREDENTIAL_REVOKED');
      const after = await login(server, 'ada');
      expect(await whoAmI(server, after.token)).toBe('taken');
    }
    const old = await delegate(server, await server.rootToken(), ['read:c:*']);
    const body = { kind: 'REVOCATION_KIND_CLIENT', id: 'a-client' };
    await server.asRoot('POST', '/v1/tokens:revoke', body);
    const fresh = await delegate(server, await server.rootToken(), ['read:c:*']);
    expect([await whoAmI(server, old.token), await whoAmI(server, fresh.token)]).toEqual([
      'CREDENTIAL_REVOKED',
      'taken',
    ]);
  });

  it.each([
    [{ kind: 'REVOCATION_KIND_USER', id: 'nobody' }, 'USER_NOT_FOUND'],
    [{ kind: 'REVOCATION_KIND_USER' }, 'ARGUMENT_INVALID'],
    [{ kind: 'REVOCATION_KIND_ALL', id: 'x' }, 'ARGUMENT_INVALID'],
    [{ kind: 'REVOCATION_KIND_EVERYTHING' }, 'ARGUMENT_INVALID'],
    [{ id: 'x' }, 'ARGUMENT_INVALID'],
  ])('%j is refused', async (body, reason) => {
    await using server = await startTestServer();
    const answer = await server.asRoot('POST', '/v1/tokens:revoke', body);
    expect(answer.body.reason).toBe(reason);
  });
});
