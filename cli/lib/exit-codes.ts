import type { Reason } from '../../src/client/molten-error.ts';

/** What a command ends with. `docs/reference/cli.md` lists them; scripts rely on them. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  invalid: 3,
  denied: 4,
  notFound: 5,
  conflict: 6,
  limited: 7,
  unavailable: 8,
  damaged: 9,
} as const;

/** Whether a text is a reason of the catalogue; errors of Node have a `reason` of another kind. */
export function isReason(text: unknown): text is Reason {
  return typeof text === 'string' && Object.hasOwn(CODES, text);
}

/** The exit code for a failed call. */
export function exitCodeOf(reason: Reason): number {
  return CODES[reason];
}

const CODES: Record<Reason, number> = {
  ARGUMENT_INVALID: EXIT.invalid,
  KEY_INVALID: EXIT.invalid,
  FILTER_INVALID: EXIT.invalid,
  PAGE_TOKEN_INVALID: EXIT.invalid,
  PATCH_INVALID: EXIT.invalid,
  SCHEMA_INVALID: EXIT.invalid,
  SCHEMA_VIOLATION: EXIT.invalid,
  DOCUMENT_TOO_LARGE: EXIT.invalid,
  REQUEST_ID_REUSED: EXIT.invalid,
  CREDENTIAL_MISSING: EXIT.denied,
  CREDENTIAL_INVALID: EXIT.denied,
  CREDENTIAL_EXPIRED: EXIT.denied,
  CREDENTIAL_REVOKED: EXIT.denied,
  SCOPE_MISSING: EXIT.denied,
  PASSWORD_WEAK: EXIT.invalid,
  DOCUMENT_NOT_FOUND: EXIT.notFound,
  COLLECTION_NOT_FOUND: EXIT.notFound,
  INDEX_NOT_FOUND: EXIT.notFound,
  SNAPSHOT_NOT_FOUND: EXIT.notFound,
  OPERATION_NOT_FOUND: EXIT.notFound,
  USER_NOT_FOUND: EXIT.notFound,
  ROLE_NOT_FOUND: EXIT.notFound,
  TOKEN_NOT_FOUND: EXIT.notFound,
  SESSION_NOT_FOUND: EXIT.notFound,
  API_KEY_NOT_FOUND: EXIT.notFound,
  SECOND_FACTOR_NOT_FOUND: EXIT.notFound,
  ROUTE_NOT_FOUND: EXIT.notFound,
  DOCUMENT_EXISTS: EXIT.conflict,
  COLLECTION_EXISTS: EXIT.conflict,
  INDEX_EXISTS: EXIT.conflict,
  USER_EXISTS: EXIT.conflict,
  ROLE_EXISTS: EXIT.conflict,
  SECOND_FACTOR_EXISTS: EXIT.conflict,
  UNIQUE_VIOLATION: EXIT.conflict,
  VERSION_MISMATCH: EXIT.conflict,
  TRANSACTION_CONFLICT: EXIT.conflict,
  COLLECTION_NOT_EMPTY: EXIT.conflict,
  INDEX_NOT_READY: EXIT.conflict,
  ROLE_IN_USE: EXIT.conflict,
  LAST_ADMINISTRATOR: EXIT.conflict,
  SETUP_REQUIRED: EXIT.conflict,
  SETUP_CLOSED: EXIT.conflict,
  READ_ONLY: EXIT.unavailable,
  SEQUENCE_COMPACTED: EXIT.notFound,
  SEQUENCE_IN_FUTURE: EXIT.notFound,
  RATE_LIMITED: EXIT.limited,
  QUOTA_EXCEEDED: EXIT.limited,
  QUERY_LIMIT_EXCEEDED: EXIT.limited,
  STORAGE_FULL: EXIT.unavailable,
  WATCHER_TOO_SLOW: EXIT.limited,
  DEADLINE_EXCEEDED: EXIT.unavailable,
  CANCELED: EXIT.failure,
  OVERLOADED: EXIT.unavailable,
  ENGINE_UNAVAILABLE: EXIT.unavailable,
  PROVIDER_UNAVAILABLE: EXIT.unavailable,
  RECOVERING: EXIT.unavailable,
  SHUTTING_DOWN: EXIT.unavailable,
  FEATURE_DISABLED: EXIT.failure,
  CORRUPTION_DETECTED: EXIT.damaged,
  INTERNAL: EXIT.failure,
};
