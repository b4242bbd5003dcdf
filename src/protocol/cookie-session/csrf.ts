import { createHmac } from 'node:crypto';

import { isSame } from '../../platform/secrets.ts';

/** The header that shows that a page of ours makes a call. */
export const CSRF_HEADER = 'x-csrf-token';

/**
 * Proves that a page could read what this server told it: the HMAC of the session's id. It is of no use
 * with another session, and of none without the cookie.
 */
export interface CsrfTokens {
  tokenOf(sessionId: string): string;
  /** In constant time. */
  matches(sessionId: string, shown: string | undefined): boolean;
}

/** Creates the tokens of one key. */
export function createCsrfTokens(key: Uint8Array): CsrfTokens {
  const tokenOf = (sessionId: string): string =>
    createHmac('sha256', key).update(sessionId).digest('base64url');
  return {
    tokenOf,
    matches: (sessionId, shown = '') => isSame(shown, tokenOf(sessionId)),
  };
}
