import type { ManualClock } from './manual-clock.ts';
import { ROOT, type TestServer } from './server.ts';

/** Headers of a caller who must be refused, by why. */
export interface RefusedCaller {
  readonly why: 'no token' | 'malformed' | 'expired' | 'revoked' | 'wrong scope';
  readonly headers: Readonly<Record<string, string>>;
}

const LONG_MS = 25 * 3_600_000;

/**
 * Everybody whom a route for holders of a scope must refuse. Moves the clock by a day, so that a token
 * expires; nothing of what was signed before is to be used afterwards.
 */
export async function refusedCallers(
  server: TestServer,
  clock: ManualClock,
): Promise<readonly RefusedCaller[]> {
  const expired = await server.tokenWith(['*:*:*'], 'was-here');
  clock.advance(LONG_MS);
  const root = await loginAsRoot(server);
  const delegate = async (scopes: readonly string[]): Promise<string> => {
    const body = { clientId: 'c', scopes };
    return String((await server.request('POST', '/v1/tokens', { body, token: root })).body.token);
  };
  const revoked = await delegate(['*:*:*']);
  await server.request('DELETE', '/v1/sessions/current', { token: revoked });
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  return [
    { why: 'no token', headers: {} },
    { why: 'malformed', headers: bearer('rubbish') },
    { why: 'expired', headers: bearer(expired) },
    { why: 'revoked', headers: bearer(revoked) },
    { why: 'wrong scope', headers: bearer(await delegate(['read:things:*'])) },
  ];
}

/** A token of the root user, of now. */
export async function loginAsRoot(server: TestServer): Promise<string> {
  const body = { ...ROOT, ttl: '86400s' };
  return String((await server.request('POST', '/v1/sessions', { body })).body.token);
}
