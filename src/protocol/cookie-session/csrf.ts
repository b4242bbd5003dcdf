import { createHmac, timingSafeEqual } from 'node:crypto';

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
  const macOf = (sessionId: string): Buffer => createHmac('sha256', key).update(sessionId).digest();
  return {
    tokenOf: (sessionId) => macOf(sessionId).toString('base64url'),
    matches(sessionId, shown = '') {
      const mac = macOf(sessionId);
      const bytes = Buffer.from(shown, 'base64url');
      return bytes.length === mac.length && timingSafeEqual(bytes, mac);
    },
  };
}
