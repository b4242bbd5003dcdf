import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Principal } from './principal.ts';
import { revoked, type Revocations } from './revocations.ts';
import { parseScope } from './scope.ts';
import type { IssuedToken, Tokens } from './tokens.ts';
import type { Users } from './users.ts';

/** What is asked for when a token is delegated. */
export interface Delegation {
  readonly clientId: string;
  readonly scopes: readonly string[];
  /** Milliseconds; absent: an hour. */
  readonly ttlMs: number | undefined;
}

/** Signing in, and what holders of tokens do with them. */
export interface Auth {
  /** CREDENTIAL_INVALID for an unknown user as for a wrong password, after the same work. */
  login(username: string, password: string): Promise<IssuedToken>;
  /** Ends the caller's own token at once. */
  logout(principal: Principal): Promise<void>;
  /** SCOPE_MISSING when a scope is beyond the caller's; ARGUMENT_INVALID for a malformed one. */
  delegate(principal: Principal, delegation: Delegation): Promise<IssuedToken>;
  /** A fresh token with the same scopes; the old one ends. SCOPE_MISSING for administrators. */
  refresh(principal: Principal, ttlMs: number | undefined): Promise<IssuedToken>;
  revoke(tokenId: string): Promise<void>;
}

/** The parts of it. */
export interface AuthParts {
  readonly clock: Clock;
  readonly users: Users;
  readonly tokens: Tokens;
  readonly revocations: Revocations;
  /** The only user who may give `*:*:*` away. */
  readonly rootUser: string;
  /** When the grant of a token ends; asked for the caller's own token on refresh. */
  readonly grantEndOf: (principal: Principal) => number;
  /** When what is delegated with a token ends at the latest; Infinity for who signed in. */
  readonly delegationEndOf: (principal: Principal) => number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How long a session from a login lives. */
export const SESSION_TTL_MS: number = DAY_MS;
/** The longest life of any token: revocations of unknown tokens are kept that long. */
export const TOKEN_TTL_MAX_MS: number = 366 * DAY_MS;
/** The life of a delegated or refreshed token that asks for none. */
export const TOKEN_TTL_MS: number = HOUR_MS;
/** A delegated token can be refreshed for this long, or for its own life when that is longer. */
const GRANT_MS = 30 * DAY_MS;

/** Creates the domain of signing in. */
export function createAuth(parts: AuthParts): Auth {
  const { clock, users, tokens, revocations, rootUser, grantEndOf, delegationEndOf } = parts;
  return {
    async login(username, password) {
      const user = await users.authenticate(username, password);
      if (user === undefined) {
        throw new DomainError('CREDENTIAL_INVALID', 'the user name or the password is wrong');
      }
      const expiresAtMs = clock.now() + SESSION_TTL_MS;
      const { name: subject, scopes } = user;
      const session = { expiresAtMs, grantEndsAtMs: expiresAtMs, isSession: true };
      return await tokens.issue({ subject, scopes, ...session });
    },
    async logout(principal) {
      await revocations.revoke(principal.tokenId, principal.expiresAtMs);
    },
    async delegate(principal, { clientId, scopes, ttlMs = TOKEN_TTL_MS }) {
      checkScopes(principal, scopes, rootUser);
      const nowMs = clock.now();
      const ownEndMs = delegationEndOf(principal);
      const expiresAtMs = Math.min(nowMs + Math.min(ttlMs, TOKEN_TTL_MAX_MS), ownEndMs);
      const grantEndsAtMs = Math.min(Math.max(expiresAtMs, nowMs + GRANT_MS), ownEndMs);
      return await tokens.issue({ subject: clientId, scopes, expiresAtMs, grantEndsAtMs });
    },
    async refresh(principal, ttlMs = TOKEN_TTL_MS) {
      if (principal.scopes.isAdmin) throw notRefreshable();
      const grantEndsAtMs = grantEndOf(principal);
      const expiresAtMs = Math.min(clock.now() + ttlMs, grantEndsAtMs);
      if (expiresAtMs <= clock.now()) {
        throw new DomainError('CREDENTIAL_EXPIRED', 'the grant has ended; ask for a new token');
      }
      // First the end of the old, so that a crash in between leaves none too many.
      if (!(await revocations.revoke(principal.tokenId, principal.expiresAtMs))) throw revoked();
      const { subject, scopes } = principal;
      return await tokens.issue({ subject, scopes: scopes.texts, expiresAtMs, grantEndsAtMs });
    },
    async revoke(tokenId) {
      await revocations.revoke(tokenId, clock.now() + TOKEN_TTL_MAX_MS);
    },
  };
}

/** A token gives no more away than it holds; the administrator's scope only the root user does. */
function checkScopes(principal: Principal, texts: readonly string[], rootUser: string): void {
  const isRoot = principal.scopes.isAdmin && principal.subject === rootUser;
  for (const scope of texts.map(parseScope)) {
    if (scope.kind === 'grant' && scope.action === 'all' && !isRoot) {
      const fix = 'only the root user may give it away; ask for narrower scopes';
      throw beyond(scope.text, fix);
    }
    if (!principal.scopes.includes(scope)) {
      throw beyond(scope.text, 'your token does not hold it; ask for scopes that yours includes');
    }
  }
}

function beyond(scope: string, fix: string): DomainError {
  return new DomainError('SCOPE_MISSING', `the scope '${scope}' cannot be delegated: ${fix}`, {
    metadata: { scope },
  });
}

function notRefreshable(): DomainError {
  return new DomainError(
    'SCOPE_MISSING',
    "tokens with '*:*:*' are not refreshed; log in again, or delegate a narrower token",
    { metadata: { scope: '*:*:*' } },
  );
}
