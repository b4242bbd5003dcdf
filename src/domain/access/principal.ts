import { NO_SCOPES, type ScopeSet } from './scope-set.ts';

/** Who calls, after authentication. */
export interface Principal {
  readonly kind: 'anonymous' | 'token' | 'system';
  /** The user or client; empty for anonymous. */
  readonly subject: string;
  readonly scopes: ScopeSet;
  /** The `jti` of its token; empty when there is none. */
  readonly tokenId: string;
  /** When its token ends, in Unix milliseconds; Infinity when there is none. */
  readonly expiresAtMs: number;
}

/** A caller without a credential: may do what is public. */
export const ANONYMOUS: Principal = {
  ...{ kind: 'anonymous', subject: '', tokenId: '', expiresAtMs: Infinity },
  scopes: NO_SCOPES,
};
