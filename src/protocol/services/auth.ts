import { create } from '@bufbuild/protobuf';

import {
  PrincipalSchema,
  type AuthService,
  type Principal as PrincipalMessage,
} from '../../../gen/molten/v1/auth_pb.ts';
import type { Auth } from '../../domain/access/auth.ts';
import type { Principal } from '../../domain/access/principal.ts';
import type { ServiceImplementation } from '../call.ts';
import { fromDuration, toTimestamp } from '../mapping/time.ts';

/** The AuthService over the domain. */
export function createAuthService(auth: Auth): ServiceImplementation<typeof AuthService> {
  return {
    async login({ username, password }) {
      const { token, principal } = await auth.login(username, password);
      return { token, principal: toPrincipal(principal) };
    },
    async whoAmI(_request, { principal }) {
      return { principal: toPrincipal(principal) };
    },
    async logout(_request, { principal }) {
      await auth.logout(principal);
      return {};
    },
    async delegateToken({ clientId, scopes, ttl }, context) {
      const delegation = { clientId, scopes, ttlMs: fromDuration(ttl) };
      const { token, principal } = await auth.delegate(context.principal, delegation);
      return { token, principal: toPrincipal(principal) };
    },
    async refreshToken({ ttl }, context) {
      const { token, principal } = await auth.refresh(context.principal, fromDuration(ttl));
      return { token, principal: toPrincipal(principal) };
    },
    async revokeToken({ tokenId }) {
      await auth.revoke(tokenId);
      return { tokenId };
    },
  };
}

function toPrincipal({ subject, scopes, tokenId, expiresAtMs }: Principal): PrincipalMessage {
  return create(PrincipalSchema, {
    ...{ subject, tokenId, scopes: [...scopes.texts] },
    ...(Number.isFinite(expiresAtMs) ? { expireTime: toTimestamp(expiresAtMs) } : {}),
  });
}
