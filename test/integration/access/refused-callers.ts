import type { ManualClock } from '../../support/manual-clock.ts';
import type { TestServer } from '../../support/server.ts';
import { forgedTokens } from './forged-tokens.ts';
import { delegate, login, makeUser } from './team.ts';

/** Credentials that must not be enough, by why. */
export interface RefusedCallers {
  /** Refused whatever they ask. */
  readonly broken: ReadonlyMap<string, string>;
  /** Sound, and without a scope that covers `things`, or `things/k1`. */
  readonly narrow: ReadonlyMap<string, string>;
}

/** Makes one of each. Moves the clock by two seconds, so that a token expires. */
export async function refusedCallers(
  server: TestServer,
  clock: ManualClock,
): Promise<RefusedCallers> {
  const broken = new Map<string, string>();
  const narrow = new Map<string, string>();
  const root = await server.rootToken();
  const scopes = ['read:things:*'];
  await makeUser(server, 'ada', { scopes });
  const ada = await login(server, 'ada');
  const expired = await server.request('POST', '/v1/tokens', {
    ...{ token: root, body: { clientId: 'x', scopes: ['*:*:*'], ttl: '1s' } },
  });
  clock.advance(2000);
  const revoked = await delegate(server, root, ['*:*:*']);
  const parent = await delegate(server, root, ['admin:*:*']);
  const child = await delegate(server, parent.token, ['admin:*:*']);
  for (const { tokenId } of [revoked, parent]) {
    await server.asRoot('DELETE', `/v1/tokens/${tokenId}`);
  }
  await makeUser(server, 'gone', { roles: ['admin'] });
  const gone = await login(server, 'gone');
  const goneKey = await server.request('POST', '/v1/apiKeys', {
    ...{ token: gone.token, body: { scopes: ['*:*:*'] } },
  });
  await server.asRoot('PATCH', '/v1/users/gone', { state: 'USER_STATE_DISABLED' });
  const ended = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['*:*:*'] });
  await server.asRoot('DELETE', `/v1/apiKeys/${String(ended.body.apiKey.apiKeyId)}`);
  for (const [name, token] of [
    ['malformed', 'not-a-token'],
    ['expired', String(expired.body.token)],
    ['revoked', revoked.token],
    ['parent revoked', child.token],
    ['a refresh token', ada.refreshToken],
    ['of a disabled user', gone.token],
    ['an API key of a disabled user', String(goneKey.body.text)],
    ['an API key that ended', String(ended.body.text)],
    ...(await forgedTokens(server)),
  ] as const) {
    broken.set(name, token);
  }
  narrow.set(
    'without scopes that cover it',
    (await delegate(server, root, ['read:none:none'])).token,
  );
  narrow.set('of another collection', (await delegate(server, root, ['admin:others:*'])).token);
  narrow.set('of another key', (await delegate(server, root, ['admin:things:k2'])).token);
  const key = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['admin:others:*'] });
  narrow.set('an API key of another collection', String(key.body.text));
  await makeUser(server, 'eve', { scopes: ['admin:others:*'] });
  const eve = await login(server, 'eve');
  const ofEve = { token: eve.token, body: { scopes: ['admin:others:*'] } };
  const evesKey = await server.request('POST', '/v1/apiKeys', ofEve);
  narrow.set('an API key of another user', String(evesKey.body.text));
  return { broken, narrow };
}
