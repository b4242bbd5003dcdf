import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import {
  startTestServer,
  testConfig,
  type TestResponse,
  type TestServer,
} from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import {
  delegate,
  login,
  loginAsRoot,
  makeUser,
  whoAmI,
  type Delegated,
  type Signed,
} from './team.ts';

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
  /** The key that signed all of it, but what the API key delegated. */
  readonly signingKey: string;
}

/** Keys that sign can be revoked only where the server makes its own. */
const EDDSA = { access: { ...testConfig('').access, tokenAlgorithm: 'EdDSA' } } as const;

async function makeScene(dbPath: string): Promise<Scene> {
  const server = await startTestServer({ dbPath, ...EDDSA });
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
  const { keys } = (await server.request('GET', '/v1/signingKeys')).body;
  const signingKey = String(keys[0].keyId);
  await server.asRoot('POST', '/v1/signingKeys:rotate', { grace: '3600s' });
  const keyChild = await delegate(server, key.text, { clientId: 'of-key', scopes });
  return { server, session, other, parent, child, cousin, key, keyChild, signingKey };
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
  SESSION: { id: ({ session }) => session.sessionId, falls: ['session', 'parent', 'child'] },
  USER_SESSIONS: { id: () => 'bob', falls: ['other'] },
  USER: { id: () => 'ada', falls: ['session', 'parent', 'child', 'key', 'keyChild'] },
  CLIENT: { id: () => 'child', falls: ['child', 'cousin'] },
  // An API key is signed by nothing.
  SIGNING_KEY: {
    id: ({ signingKey }) => signingKey,
    falls: ['session', 'other', 'parent', 'child', 'cousin'],
  },
  ALL: { id: () => '', falls: CREDENTIALS },
};

async function textOf(scene: Scene, name: Credential): Promise<string> {
  const credential = scene[name];
  return await whoAmI(scene.server, 'text' in credential ? credential.text : credential.token);
}

async function revoke(
  scene: Scene,
  kind: string,
  { token, isPreview = false }: { readonly token: string; readonly isPreview?: boolean },
): Promise<TestResponse> {
  const id = KINDS[kind]?.id(scene) ?? '';
  const path = `/v1/tokens:${isPreview ? 'previewRevocation' : 'revoke'}`;
  const body = { kind: `REVOCATION_KIND_${kind}`, id };
  return await scene.server.request('POST', path, { token, body });
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

  it.each(pairs)(
    'of kind %s and then %s takes down what either does',
    async (one, two) => {
      using directory = createTemporaryDirectory();
      const scene = await makeScene(directory.path);
      try {
        const { token } = await loginAsRoot(scene.server);
        const preview = await revoke(scene, one, { token, isPreview: true });
        const first = await revoke(scene, one, { token });
        expect(first.body.impact).toEqual(preview.body.impact);
        await expectFallen(scene, [one]);
        // Anew: the first may have fallen with everything.
        const again = await loginAsRoot(scene.server);
        expect((await revoke(scene, two, again)).status).toBe(200);
        await expectFallen(scene, [one, two]);
      } finally {
        await scene.server.close();
      }
      // And over a restart.
      await using server = await startTestServer({ dbPath: directory.path, ...EDDSA });
      await expectFallen({ ...scene, server }, [one, two]);
    },
    180_000,
  );

  it('of a token of a sign-in ends the sign-in and what it has delegated', async () => {
    using directory = createTemporaryDirectory();
    const scene = await makeScene(directory.path);
    try {
      const { server, session } = scene;
      const { body } = await server.request('GET', '/v1/sessions/current', session);
      const path = `/v1/tokens/${String(body.principal.tokenId)}`;
      expect((await server.request('DELETE', path, session)).status).toBe(200);
      await expectFallen(scene, ['SESSION']);
      const again = { body: { refreshToken: session.refreshToken } };
      expect((await server.request('POST', '/v1/sessions:refresh', again)).status).toBe(401);
    } finally {
      await scene.server.close();
    }
    await using server = await startTestServer({ dbPath: directory.path, ...EDDSA });
    await expectFallen({ ...scene, server }, ['SESSION']);
  });

  it('of what was made before a time leaves what was made later', async () => {
    const clock = createManualClock();
    using directory = createTemporaryDirectory();
    const server = await startTestServer({ dbPath: directory.path }, { clock });
    const scopes = ['read:c:*'];
    const old: string[] = [];
    const fresh: string[] = [];
    const make = async (into: string[]): Promise<Signed> => {
      const session = await login(server, 'ada');
      const key = { token: session.token, body: { scopes } };
      const made = await server.request('POST', '/v1/apiKeys', key);
      const child = await delegate(server, session.token, { clientId: 'service', scopes });
      into.push(session.token, String(made.body.text), child.token);
      return session;
    };
    await makeUser(server, 'ada', { scopes });
    const first = await make(old);
    clock.advance(60_000);
    const beforeTime = new Date(clock.now()).toISOString();
    clock.advance(60_000);
    await make(fresh);
    // Refreshed later, and begun before.
    const refresh = { body: { refreshToken: first.refreshToken } };
    const { body: renewed } = await server.request('POST', '/v1/sessions:refresh', refresh);
    old.push(String(renewed.token));
    const target = { kind: 'REVOCATION_KIND_USER', id: 'ada', beforeTime };
    const preview = await server.asRoot('POST', '/v1/tokens:previewRevocation', target);
    expect(preview.body.impact).toEqual({
      ...{ tokens: '1', sessions: '1', apiKeys: '1', clients: ['service'] },
    });
    const done = await server.asRoot('POST', '/v1/tokens:revoke', target);
    expect(done.body.impact).toEqual(preview.body.impact);
    const expectEnded = async (at: TestServer): Promise<void> => {
      for (const text of old) expect(await whoAmI(at, text)).not.toBe('taken');
      for (const text of fresh) expect(await whoAmI(at, text)).toBe('taken');
    };
    await expectEnded(server);
    // An earlier time gives nothing back.
    const earlier = { ...target, beforeTime: new Date(clock.now() - 600_000).toISOString() };
    expect((await server.asRoot('POST', '/v1/tokens:revoke', earlier)).status).toBe(200);
    await expectEnded(server);
    await server.close();
    await using next = await startTestServer({ dbPath: directory.path }, { clock });
    await expectEnded(next);
    await next.asRoot('POST', '/v1/tokens:revoke', {
      kind: 'REVOCATION_KIND_CLIENT',
      id: 'service',
    });
    expect(await whoAmI(next, fresh[2] ?? '')).toBe('CREDENTIAL_REVOKED');
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
    [{ kind: 'REVOCATION_KIND_ALL', beforeTime: '2100-01-01T00:00:00Z' }, 'ARGUMENT_INVALID'],
    [
      { kind: 'REVOCATION_KIND_SESSION', id: 'x', beforeTime: '2020-01-01T00:00:00Z' },
      'ARGUMENT_INVALID',
    ],
    [{ kind: 'REVOCATION_KIND_EVERYTHING' }, 'ARGUMENT_INVALID'],
    [{ id: 'x' }, 'ARGUMENT_INVALID'],
  ])('%j is refused', async (body, reason) => {
    await using server = await startTestServer();
    const answer = await server.asRoot('POST', '/v1/tokens:revoke', body);
    expect(answer.body.reason).toBe(reason);
  });
});
