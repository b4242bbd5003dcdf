import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { delegate, login, makeUser, whoAmI } from './team.ts';

function accessWith(
  change: Partial<ReturnType<typeof testConfig>['access']>,
): ReturnType<typeof testConfig>['access'] {
  return { ...testConfig('').access, ...change };
}

function headerOf(token: string): {
  readonly alg: string;
  readonly kid: string;
  readonly typ: string;
} {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as never;
}

async function keySet(server: TestServer): Promise<JSONWebKeySet> {
  const { body } = await server.request('GET', '/v1/signingKeys');
  const keys = (body.keys as readonly { readonly publicJwk: string }[])
    .filter(({ publicJwk }) => publicJwk !== '')
    .map(({ publicJwk }) => JSON.parse(publicJwk) as JSONWebKeySet['keys'][number]);
  return { keys };
}

describe.each(['EdDSA', 'ES256'] as const)('keys of %s', (tokenAlgorithm) => {
  it('sign tokens that others verify by the published key', async () => {
    await using server = await startTestServer({ access: accessWith({ tokenAlgorithm }) });
    const token = await server.rootToken();
    expect(headerOf(token)).toMatchObject({ alg: tokenAlgorithm, typ: 'at+jwt' });
    const keys = await keySet(server);
    expect(JSON.stringify(keys)).not.toContain('"d"');
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
      ...{ issuer: 'moltendb', audience: 'moltendb', typ: 'at+jwt' },
    });
    expect(payload).toMatchObject({ sub: 'root', scopes: ['*:*:*'] });
  });

  it('are replaced while the tokens of the old one are still taken, for the grace', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const clock = createManualClock();
    const access = accessWith({ tokenAlgorithm });
    const before = await (async () => {
      await using server = await startTestServer({ dbPath, access }, { clock });
      const token = await server.rootToken();
      const body = { grace: '3600s' };
      expect((await server.asRoot('POST', '/v1/signingKeys:rotate', body)).status).toBe(200);
      expect(await whoAmI(server, token)).toBe('taken');
      return token;
    })();
    await using server = await startTestServer({ dbPath, access }, { clock });
    const after = await server.rootToken();
    expect(headerOf(after).kid).not.toBe(headerOf(before).kid);
    expect((await keySet(server)).keys).toHaveLength(2);
    expect(await whoAmI(server, before)).toBe('taken');
    clock.advance(3_600_000);
    expect(await whoAmI(server, before)).not.toBe('taken');
    expect(await whoAmI(server, after)).toBe('taken');
    expect((await keySet(server)).keys).toHaveLength(1);
  });

  it('take down everything they signed when they are revoked', async () => {
    await using server = await startTestServer({ access: accessWith({ tokenAlgorithm }) });
    const old = await server.rootToken();
    const child = await delegate(server, old, ['admin:*:*']);
    await server.request('POST', '/v1/signingKeys:rotate', { token: old, body: {} });
    // Signed with the new key, by the authority of one that the old key signed.
    const grandchild = await delegate(server, child.token, ['read:c:*']);
    await makeUser(server, 'ada', { scopes: ['tokens:*:*'] });
    const { token } = await login(server, 'ada');
    const body = { kind: 'REVOCATION_KIND_SIGNING_KEY', id: headerOf(old).kid };
    const answer = await server.request('POST', '/v1/tokens:revoke', { token, body });
    expect(answer.body.impact).toMatchObject({ tokens: '2' });
    expect(await whoAmI(server, old)).toBe('CREDENTIAL_REVOKED');
    expect(await whoAmI(server, child.token)).toBe('CREDENTIAL_REVOKED');
    expect(await whoAmI(server, grandchild.token)).toBe('CREDENTIAL_REVOKED');
    expect(await whoAmI(server, token)).toBe('taken');
  });

  it('take no token that the secret of the configuration signed', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const shared = await (async () => {
      await using server = await startTestServer({ dbPath });
      return await server.rootToken();
    })();
    const access = accessWith({ tokenAlgorithm });
    {
      await using server = await startTestServer({ dbPath, access });
      expect(await whoAmI(server, shared)).toBe('CREDENTIAL_INVALID');
    }
    const previousJwtSecrets = [testConfig('').jwtSecret];
    const withGrace = accessWith({ tokenAlgorithm, previousJwtSecrets });
    await using server = await startTestServer({ dbPath, access: withGrace });
    expect(await whoAmI(server, shared)).toBe('taken');
  });
});

describe('the secret of the configuration', () => {
  it('is replaced while tokens of the one before are taken, and what it sealed stays open', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const [before, after] = [
      testConfig('').jwtSecret,
      'another secret of thirty-two bytes and more',
    ];
    const token = await (async () => {
      await using server = await startTestServer({ dbPath });
      return await server.rootToken();
    })();
    const access = accessWith({ previousJwtSecrets: [before] });
    {
      await using server = await startTestServer({ dbPath, jwtSecret: after, access });
      expect(await whoAmI(server, token)).toBe('taken');
      expect(headerOf(await server.rootToken()).kid).not.toBe(headerOf(token).kid);
      const rotate = await server.asRoot('POST', '/v1/signingKeys:rotate', {});
      expect([rotate.status, rotate.body.reason]).toEqual([501, 'FEATURE_DISABLED']);
    }
    await using server = await startTestServer({ dbPath, jwtSecret: after });
    expect(await whoAmI(server, token)).toBe('CREDENTIAL_INVALID');
  });

  it('keeps keys and second factors readable when it changes with the one before', async () => {
    using directory = createTemporaryDirectory();
    const dbPath = directory.path;
    const before = testConfig('').jwtSecret;
    const jwtSecret = 'another secret of thirty-two bytes and more';
    const access = accessWith({ tokenAlgorithm: 'EdDSA' });
    const token = await (async () => {
      await using server = await startTestServer({ dbPath, access });
      return await server.rootToken();
    })();
    const withPrevious = { ...access, previousJwtSecrets: [before] };
    {
      await using server = await startTestServer({ dbPath, jwtSecret, access: withPrevious });
      expect(await whoAmI(server, token)).toBe('taken');
    }
    // Sealed anew at that start: the old secret is not needed any more.
    {
      await using server = await startTestServer({ dbPath, jwtSecret, access });
      expect(await whoAmI(server, token)).toBe('taken');
      expect(headerOf(await server.rootToken()).kid).toBe(headerOf(token).kid);
    }
    // With neither: another key signs, and the server starts; nothing is lost by it.
    {
      await using server = await startTestServer({ dbPath, jwtSecret: `${jwtSecret}!`, access });
      expect(headerOf(await server.rootToken()).kid).not.toBe(headerOf(token).kid);
    }
    await using server = await startTestServer({ dbPath, jwtSecret, access });
    expect(await whoAmI(server, token)).toBe('taken');
    expect(headerOf(await server.rootToken()).kid).toBe(headerOf(token).kid);
  });
});
