/**
 * The catalogue of reasons: every expected failure of the product has exactly one of these.
 *
 * Clients branch on the reason, never on the message. `protocol/mapping/error.ts` maps each reason to
 * a Connect code by a table that does not compile when a reason is missing, and
 * `docs/reference/errors.md` has one heading per reason.
 */
export const REASONS = [
  'ARGUMENT_INVALID',
  'KEY_INVALID',
  'FILTER_INVALID',
  'PAGE_TOKEN_INVALID',
  'PATCH_INVALID',
  'SCHEMA_INVALID',
  'SCHEMA_VIOLATION',
  'DOCUMENT_TOO_LARGE',
  'REQUEST_ID_REUSED',
  'PASSWORD_WEAK',
  'CREDENTIAL_MISSING',
  'CREDENTIAL_INVALID',
  'CREDENTIAL_EXPIRED',
  'CREDENTIAL_REVOKED',
  'SCOPE_MISSING',
  'DOCUMENT_NOT_FOUND',
  'COLLECTION_NOT_FOUND',
  'INDEX_NOT_FOUND',
  'SNAPSHOT_NOT_FOUND',
  'OPERATION_NOT_FOUND',
  'USER_NOT_FOUND',
  'ROLE_NOT_FOUND',
  'TOKEN_NOT_FOUND',
  'SESSION_NOT_FOUND',
  'API_KEY_NOT_FOUND',
  'SECOND_FACTOR_NOT_FOUND',
  'ROUTE_NOT_FOUND',
  'DOCUMENT_EXISTS',
  'COLLECTION_EXISTS',
  'INDEX_EXISTS',
  'USER_EXISTS',
  'ROLE_EXISTS',
  'SECOND_FACTOR_EXISTS',
  'UNIQUE_VIOLATION',
  'VERSION_MISMATCH',
  'TRANSACTION_CONFLICT',
  'COLLECTION_NOT_EMPTY',
  'INDEX_NOT_READY',
  'ROLE_IN_USE',
  'LAST_ADMINISTRATOR',
  'SETUP_REQUIRED',
  'SETUP_CLOSED',
  'READ_ONLY',
  'SEQUENCE_COMPACTED',
  'SEQUENCE_IN_FUTURE',
  'RATE_LIMITED',
  'QUOTA_EXCEEDED',
  'QUERY_LIMIT_EXCEEDED',
  'STORAGE_FULL',
  'WATCHER_TOO_SLOW',
  'DEADLINE_EXCEEDED',
  'CANCELED',
  'OVERLOADED',
  'ENGINE_UNAVAILABLE',
  'PROVIDER_UNAVAILABLE',
  'RECOVERING',
  'SHUTTING_DOWN',
  'FEATURE_DISABLED',
  'CORRUPTION_DETECTED',
  'INTERNAL',
] as const;

/** One entry of the catalogue. */
export type Reason = (typeof REASONS)[number];

/** Reports whether a reason is about what proves who calls. */
export function isAboutCredential(reason: Reason): boolean {
  return reason.startsWith('CREDENTIAL_');
}
