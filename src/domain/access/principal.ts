import type { RevocableChain } from './revocations.ts';
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
}

/** What proves a principal, and where it came from. */
export interface Credential {
  readonly kind: 'session' | 'delegated' | 'apiKey';
  /** The user on whose authority it stands. */
  readonly user: string;
  readonly chain: RevocableChain;
  /** The user who acts as that user; empty: the user itself. */
  readonly impersonator: string;
  /** Renewed tokens end no later than this. Unix milliseconds. */
  readonly grantEndsAtMs: number;
}

/** A caller without a credential: may do what is public. */
export const ANONYMOUS: Principal = {
  ...{ kind: 'anonymous', subject: '', tokenId: '', expiresAtMs: Infinity },
  scopes: NO_SCOPES,
};
