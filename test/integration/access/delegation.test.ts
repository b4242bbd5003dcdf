import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import { delegate, login, makeUser, read, whoAmI } from './team.ts';

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

  it('ends with the token above it, unless that one can be renewed', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const root = await server.rootToken();
    const ask = (token: string, times: object): Promise<TestResponse> =>
      server.request('POST', '/v1/tokens', {
        ...{ token, body: { clientId: 'x', scopes: ['read:c:*'], ...times } },
      });
    const endOf = ({ body }: TestResponse): number => Date.parse(body.principal.expireTime);
    const parent = await ask(root, { ttl: '60s' });
    const child = await ask(String(parent.body.token), { ttl: '31622400s', renewableFor: '900s' });
    expect([endOf(child), child.body.principal.grantExpireTime]).toEqual([
      endOf(parent),
      parent.body.principal.grantExpireTime,
    ]);
    const renewable = await ask(root, { ttl: '60s', renewableFor: '3600s' });
    const longer = await ask(String(renewable.body.token), { ttl: '31622400s' });
    expect(endOf(longer) - endOf(renewable)).toBe(3_540_000);
    const renew = async ({ body }: TestResponse): Promise<TestResponse> =>
      await server.request('POST', '/v1/tokens:refresh', { token: String(body.token), body: {} });
    // Renewed it ends no later either.
    expect(endOf(await renew(parent))).toBe(endOf(parent));
    expect(endOf(await renew(renewable))).toBe(endOf(longer));
    clock.advance(61_000);
    expect(await whoAmI(server, String(child.body.token))).toBe('CREDENTIAL_EXPIRED');
    expect(await whoAmI(server, String(longer.body.token))).toBe('taken');
  });

  it('speaks for its user when it is for no client', async () => {
    await using server = await startTestServer();
    await makeUser(server, 'ada', { scopes: ['read:*:*'] });
    const { token } = await login(server, 'ada');
    const body = { scopes: ['read:c:*'] };
    const made = await server.request('POST', '/v1/tokens', { token, body });
    expect(made.body.principal).toMatchObject({ subject: 'ada', user: 'ada' });
    expect(made.body.principal.credentialKind).toBe('CREDENTIAL_KIND_DELEGATED');
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
