/**
 * Who may do what. A credential becomes a principal (authentication); its scopes say which keys of which
 * collections an action may touch (authorization). What an RPC demands is declared in its proto and
 * enforced by the protocol; which keys a request touches is enforced by the domain, every time.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { createAuth, type Auth } from './auth.ts';
import { createPasswords, type PasswordCost } from './passwords.ts';
import { ANONYMOUS, type Principal } from './principal.ts';
import { createRevocations, revoked } from './revocations.ts';
import { createTokens } from './tokens.ts';
import { createUsers } from './users.ts';

/** Turns an `authorization` header into a principal. */
export interface Authenticator {
  /**
   * ANONYMOUS without a header. CREDENTIAL_INVALID, CREDENTIAL_EXPIRED or CREDENTIAL_REVOKED for a bad
   * one, so that a caller with a broken token is never mistaken for one without.
   */
  authenticate(authorization: string | undefined): Promise<Principal>;
  /** Why a principal of a call that still runs may not go on; undefined when it may. Cheap. */
  lapseOf(principal: Principal): CredentialLapse | undefined;
}

/** How a credential ends while it is used. */
export type CredentialLapse = 'expired' | 'revoked';

/** The access room, open. */
export interface Access {
  readonly authenticator: Authenticator;
  readonly auth: Auth;
}

/** What access is made of. */
export interface AccessOptions {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  /** At least 32 bytes; checked by the configuration. */
  readonly jwtSecret: string;
  readonly rootUser: string;
  readonly rootPassword: string;
  readonly passwordCost?: PasswordCost;
}

const BEARER = /^bearer +(\S+) *$/i;

/** Opens access on a store: seeds the root user and reads the revocations. */
export async function createAccess(options: AccessOptions): Promise<Access> {
  const { engine, clock, jwtSecret, rootUser, rootPassword } = options;
  const passwords = createPasswords(options.passwordCost);
  const root = { name: rootUser, password: rootPassword };
  const users = await createUsers({ engine, passwords, root });
  const revocations = await createRevocations(engine, clock);
  const tokens = createTokens({ secret: jwtSecret, clock });
  const grantEnds = new WeakMap<Principal, number>();
  const sessions = new WeakSet<Principal>();
  const delegationEndOf = (principal: Principal): number =>
    sessions.has(principal) ? Infinity : grantEndOf(principal);
  const grantEndOf = (principal: Principal): number =>
    grantEnds.get(principal) ?? principal.expiresAtMs;
  return {
    auth: createAuth({ clock, users, tokens, revocations, rootUser, grantEndOf, delegationEndOf }),
    authenticator: {
      async authenticate(authorization) {
        if (authorization === undefined) return ANONYMOUS;
        const token = BEARER.exec(authorization)?.[1];
        if (token === undefined) throw notBearer();
        const { principal, grantEndsAtMs, isSession } = await tokens.verify(token);
        if (revocations.isRevoked(principal.tokenId)) throw revoked();
        grantEnds.set(principal, grantEndsAtMs);
        if (isSession) sessions.add(principal);
        return principal;
      },
      lapseOf({ tokenId, expiresAtMs }) {
        if (revocations.isRevoked(tokenId)) return 'revoked';
        return expiresAtMs <= clock.now() ? 'expired' : undefined;
      },
    },
  };
}

function notBearer(): DomainError {
  return new DomainError(
    'CREDENTIAL_INVALID',
    'the authorization header is not of the form `Bearer <token>`',
  );
}
