import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Accounts } from './accounts.ts';
import type { Principal } from './principal.ts';
import type { SignedToken, Tokens } from './tokens.ts';
import { selfOf } from './user-rules.ts';

/** Acting as another user: strictly downward, for a short time, with both names in every record. */
export interface Impersonation {
  /**
   * A token of the other user for the caller. SCOPE_MISSING unless the other user may do less than the
   * caller, and nothing that the caller may not.
   */
  impersonate(principal: Principal, name: string, ttlMs: number | undefined): Promise<SignedToken>;
}

/** The life of such a token that asks for none. */
const TTL_MS = 900_000;
/** The longest life of such a token. */
const TTL_MAX_MS = 3_600_000;

/** Creates the domain of acting as others. */
export function createImpersonation(parts: {
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly tokens: Tokens;
}): Impersonation {
  const { clock, accounts, tokens } = parts;
  return {
    async impersonate(principal, name, ttlMs = TTL_MS) {
      const { name: impersonator, sessionId } = selfOf(accounts, principal.credential);
      const user = accounts.get(name);
      const scopes = accounts.scopesOf(name, user.id);
      const isLower = scopes.isWithin(principal.scopes) && !principal.scopes.isWithin(scopes);
      if (user.state !== 'active' || name === impersonator || !isLower) throw notLower(name);
      const endMs = Math.min(clock.now() + Math.min(ttlMs, TTL_MAX_MS), principal.expiresAtMs);
      return await tokens.issue({
        ...{ kind: 'session', subject: name, user: name, userId: user.id, sessionId },
        signInId: sessionId,
        ...{ scopes: scopes.texts, ancestors: [], impersonator, callsPerMinute: 0 },
        ...{ expiresAtMs: endMs, grantEndsAtMs: endMs },
      });
    },
  };
}

function notLower(name: string): DomainError {
  return new DomainError(
    'SCOPE_MISSING',
    `you cannot act as '${name}': only as an active user who may do less than you`,
    { metadata: { user: name } },
  );
}
