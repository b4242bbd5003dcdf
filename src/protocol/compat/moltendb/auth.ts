/** `/login`, `/auth/delegate`, `/auth/refresh` and `DELETE /auth/tokens/{jti}`. */
import { AuthService, type DelegateTokenResponse } from '../../../../gen/molten/v1/auth_pb.ts';
import { createScopeSet } from '../../../domain/access/scope-set.ts';
import { hasReason } from '../../../errors/domain-error.ts';
import type { Caller } from '../../caller.ts';
import type { RouteHandler } from './handler.ts';
import { parsePayload, wholeOf } from './payload.ts';
import { PlainRefusal } from './refusal.ts';

const HOUR_S = 3600;
const RENEWABLE_S = 30 * 24 * HOUR_S;
const TTL_PROBLEM = "'ttl_secs' must be a positive integer (seconds)";

export const loginRoute: RouteHandler = {
  isPublic: true,
  async run(request, caller) {
    const { username, password } = parsePayload(request.body);
    if (typeof username !== 'string' || typeof password !== 'string') {
      throw new PlainRefusal("'username' and 'password' must be strings", 422);
    }
    try {
      const { token } = await caller.call(AuthService.method.login, { username, password });
      return { token };
    } catch (error) {
      const isRejected =
        hasReason(error, 'CREDENTIAL_INVALID') || hasReason(error, 'ARGUMENT_INVALID');
      throw isRejected ? new PlainRefusal('Invalid credentials', 401) : error;
    }
  },
};

export const delegateRoute: RouteHandler = {
  forbidden: () => 'Admin access required to delegate tokens',
  async run(request, caller) {
    await demandAdmin(caller, 'Admin access required to delegate tokens');
    const payload = parsePayload(request.body);
    const { client_id: clientId, scopes } = payload;
    const isSound = Array.isArray(scopes) && scopes.every((one) => typeof one === 'string');
    if (typeof clientId !== 'string' || clientId === '' || !isSound) {
      throw new PlainRefusal("'client_id' must be a string and 'scopes' an array of strings", 422);
    }
    const texts: readonly string[] = scopes;
    for (const scope of texts) {
      if (scope.split(':').length === 3) continue;
      throw new PlainRefusal(`Invalid scope '${scope}'. Expected format: 'action:collection:key'`);
    }
    const seconds = wholeOf(payload['ttl_secs'], 1, TTL_PROBLEM) ?? HOUR_S;
    const { token, principal } = await delegate(caller, clientId, { texts, seconds });
    return { token, client_id: clientId, scopes: texts, jti: principal?.tokenId ?? '' };
  },
};

async function delegate(
  caller: Caller,
  clientId: string,
  { texts, seconds }: { readonly texts: readonly string[]; readonly seconds: number },
): Promise<DelegateTokenResponse> {
  try {
    return await caller.call(AuthService.method.delegateToken, {
      ...{ clientId, scopes: [...texts], ttl: { seconds: BigInt(seconds) } },
      // There every token can be refreshed.
      renewableFor: { seconds: BigInt(RENEWABLE_S) },
    });
  } catch (error) {
    if (!hasReason(error, 'SCOPE_MISSING') || !texts.includes('*:*:*')) throw error;
    throw new PlainRefusal("Only the root user can mint '*:*:*' (admin) tokens", 403);
  }
}

export const refreshRoute: RouteHandler = {
  async run(request, caller) {
    const { body } = request;
    const payload = Buffer.isBuffer(body) && body.length > 0 ? parsePayload(body) : {};
    const seconds = wholeOf(payload['ttl_secs'], 1, TTL_PROBLEM) ?? HOUR_S;
    const before = await caller.call(AuthService.method.whoAmI, {});
    if (createScopeSet(before.principal?.scopes ?? []).isAdmin) {
      throw new PlainRefusal(
        'Admin tokens cannot be refreshed. Delegate a new token instead.',
        403,
      );
    }
    const ttl = { seconds: BigInt(seconds) };
    const { token, principal } = await caller.call(AuthService.method.refreshToken, { ttl });
    const ends = Number(principal?.expireTime?.seconds ?? 0n);
    const starts = issuedAt(token);
    return { token, jti: principal?.tokenId ?? '', expires_in: ends - starts };
  },
};

/** The `iat` claim of a token that was just made. */
function issuedAt(token: string): number {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    readonly iat?: number;
  };
  return claims.iat ?? 0;
}

export const revokeRoute: RouteHandler = {
  forbidden: () => 'Admin access required to revoke tokens',
  async run(request, caller) {
    await demandAdmin(caller, 'Admin access required to revoke tokens');
    const { jti: tokenId } = request.params as { readonly jti: string };
    // The body may name an `exp`; the revocation is kept until the token can no longer live all the same.
    if (tokenId.trim() === '') throw new PlainRefusal('jti must not be empty');
    await caller.call(AuthService.method.revokeToken, { tokenId });
    return { revoked: tokenId, message: 'Token has been revoked successfully' };
  },
};

async function demandAdmin(caller: Caller, message: string): Promise<void> {
  const { principal } = await caller.call(AuthService.method.whoAmI, {});
  const scopes = createScopeSet(principal?.scopes ?? []);
  if (!scopes.coversStore('admin')) throw new PlainRefusal(message, 403);
}
