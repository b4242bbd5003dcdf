import { DomainError } from '../../errors/domain-error.ts';
import type { RevocableChain } from './revocations.ts';
import type { Action } from './scope.ts';
import { NO_SCOPES, type ScopeSet } from './scope-set.ts';

/** Who calls, after authentication. */
export interface Principal {
  readonly kind: 'anonymous' | 'token' | 'system';
  /** The user or client; empty for anonymous. */
  readonly subject: string;
  /** As they are now: a role that changes changes them. */
  readonly scopes: ScopeSet;
  /** The `jti` of its token, or the id of its API key; empty when there is none. */
  readonly tokenId: string;
  /** When its credential ends, in Unix milliseconds; Infinity when it does not. */
  readonly expiresAtMs: number;
  /** What proves it; absent for anonymous and for the server itself. */
  readonly credential?: Credential;
  /** Its user has a second factor to enrol first, and no scope until then. As it is now. */
  readonly mustEnrol?: boolean;
}

/** What proves a principal, and where it came from. */
export interface Credential {
  readonly kind: 'session' | 'delegated' | 'apiKey';
  /** The user on whose authority it stands. */
  readonly user: string;
  readonly chain: RevocableChain;
  /** What it was given; what it may do is this and no more than its user may do now. */
  readonly given: readonly string[];
  /** The user who acts as that user; empty: the user itself. */
  readonly impersonator: string;
  /** Renewed tokens end no later than this. Unix milliseconds. */
  readonly grantEndsAtMs: number;
}

/** SCOPE_MISSING for a scope that the caller does not hold. */
export function missingScope(
  principal: Principal,
  scope: { readonly action: Action; readonly collection: string; readonly key: string },
): DomainError {
  const { action, collection, key } = scope;
  const what = `the token lacks the scope ${action}:${collection}:${key}`;
  return new DomainError('SCOPE_MISSING', reasonFor(principal, what), { metadata: scope });
}

/** Why a caller may not: what it lacks, or what it has to do before it may do anything. */
export function reasonFor({ mustEnrol }: Principal, what: string): string {
  if (mustEnrol !== true) return what;
  return 'its user has to enrol a second factor before anything else: sign in and enrol one';
}

/** A caller without a credential: may do what is public. */
export const ANONYMOUS: Principal = {
  ...{ kind: 'anonymous', subject: '', tokenId: '', expiresAtMs: Infinity },
  scopes: NO_SCOPES,
};
