import type { Authenticator } from '../../domain/access/credentials.ts';
import { withPrincipal, type Call, type CallInterceptor } from '../call.ts';
import type { Principal } from '../../domain/access/principal.ts';
import type { RateLimits } from '../../domain/quota/rate-limits.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { CookieGuard } from '../cookie-session/guard.ts';
import { enforce } from './rate-limit.ts';

/**
 * Finds out who calls, by the `authorization` or `x-api-key` header of whatever protocol; without either
 * by the session cookie of a browser. Whoever shows a credential that is not taken counts as nobody, and
 * is told no more once nobody may call from there.
 */
export function createAuthenticate(
  authenticator: Authenticator,
  cookies: CookieGuard,
  limits: RateLimits,
): CallInterceptor {
  const identify = async (call: Call): Promise<Principal> => {
    const { origin } = call;
    const authorization = origin.header('authorization');
    const apiKey = origin.header('x-api-key');
    const isShown = authorization !== undefined || apiKey !== undefined;
    const token = isShown ? undefined : cookies.tokenOf(call);
    if (token === undefined) return await authenticator.authenticate({ authorization, apiKey });
    const proof = { authorization: `Bearer ${token}`, apiKey: undefined };
    const principal = await authenticator.authenticate(proof);
    cookies.demand(call, principal);
    return principal;
  };
  return (next) => async (call) => {
    const principal = await identify(call).catch((error: unknown) => {
      // A server that cannot tell makes no suspect of a caller.
      const isUntold = error instanceof DomainError && error.reason === 'ENGINE_UNAVAILABLE';
      if (!isUntold) enforce(call, limits.anonymous(call.origin.address));
      throw error;
    });
    return await next(withPrincipal(call, principal));
  };
}
