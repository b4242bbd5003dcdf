import { DomainError } from '../../errors/domain-error.ts';
import type { Reason } from '../../errors/reason.ts';

/** The codes of MoltenDB for what may end a connection, and ours for what it does not know. */
const CODES: Readonly<Record<string, string>> = {
  CREDENTIAL_MISSING: 'missing_token',
  CREDENTIAL_INVALID: 'invalid_token',
  CREDENTIAL_EXPIRED: 'token_expired',
  CREDENTIAL_REVOKED: 'token_revoked',
  WATCHER_TOO_SLOW: 'too_slow',
  SHUTTING_DOWN: 'shutting_down',
  RATE_LIMITED: 'rate_limited',
  QUOTA_EXCEEDED: 'quota_exceeded',
};

/** The code for an error; `internal_error` where there is none. */
export function codeOf(reason: Reason | undefined): string {
  return CODES[reason ?? ''] ?? 'internal_error';
}

/** A subscription beyond those that a connection may have. */
export function tooManySubscriptions(max: number): DomainError {
  const limit = max.toString();
  const message = `this connection has ${limit} subscriptions already; end some`;
  return new DomainError('QUOTA_EXCEEDED', message, { metadata: { limit } });
}

/** A frame that tells of a failure as MoltenDB does. */
export function failure(error: string, detail: string): { error: string; detail: string } {
  return { error, detail };
}

/** ARGUMENT_INVALID about the id of a frame. */
export function invalid(message: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', message, { metadata: { field: 'id' } });
}

/** Why a watch ends whose messages nobody acknowledges. */
export function notAcknowledged(): DomainError {
  return new DomainError(
    'WATCHER_TOO_SLOW',
    'messages were not acknowledged for too long; subscribe again with the last token',
  );
}
