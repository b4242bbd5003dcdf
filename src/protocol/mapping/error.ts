/**
 * The one table of errors: reason → code. Every protocol's status follows from it.
 *
 * A reason without a code does not compile. No other file names a code; `docs/reference/errors.md` has
 * the same table in words.
 */
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus, codeToString } from '@connectrpc/connect/protocol-connect';

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../../gen/google/rpc/error_details_pb.ts';
import { DomainError, type FieldViolation } from '../../errors/domain-error.ts';
import type { Reason } from '../../errors/reason.ts';
import { toDuration } from './time.ts';

const CODES = {
  ARGUMENT_INVALID: Code.InvalidArgument,
  KEY_INVALID: Code.InvalidArgument,
  FILTER_INVALID: Code.InvalidArgument,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  PATCH_INVALID: Code.InvalidArgument,
  SCHEMA_INVALID: Code.InvalidArgument,
  SCHEMA_VIOLATION: Code.InvalidArgument,
  DOCUMENT_TOO_LARGE: Code.InvalidArgument,
  REQUEST_ID_REUSED: Code.InvalidArgument,
  CREDENTIAL_MISSING: Code.Unauthenticated,
  CREDENTIAL_INVALID: Code.Unauthenticated,
  CREDENTIAL_EXPIRED: Code.Unauthenticated,
  CREDENTIAL_REVOKED: Code.Unauthenticated,
  PASSWORD_WEAK: Code.InvalidArgument,
  SCOPE_MISSING: Code.PermissionDenied,
  DOCUMENT_NOT_FOUND: Code.NotFound,
  COLLECTION_NOT_FOUND: Code.NotFound,
  INDEX_NOT_FOUND: Code.NotFound,
  SNAPSHOT_NOT_FOUND: Code.NotFound,
  OPERATION_NOT_FOUND: Code.NotFound,
  USER_NOT_FOUND: Code.NotFound,
  ROLE_NOT_FOUND: Code.NotFound,
  TOKEN_NOT_FOUND: Code.NotFound,
  SESSION_NOT_FOUND: Code.NotFound,
  API_KEY_NOT_FOUND: Code.NotFound,
  SECOND_FACTOR_NOT_FOUND: Code.NotFound,
  ROUTE_NOT_FOUND: Code.NotFound,
  DOCUMENT_EXISTS: Code.AlreadyExists,
  COLLECTION_EXISTS: Code.AlreadyExists,
  INDEX_EXISTS: Code.AlreadyExists,
  USER_EXISTS: Code.AlreadyExists,
  ROLE_EXISTS: Code.AlreadyExists,
  SECOND_FACTOR_EXISTS: Code.AlreadyExists,
  UNIQUE_VIOLATION: Code.AlreadyExists,
  VERSION_MISMATCH: Code.Aborted,
  TRANSACTION_CONFLICT: Code.Aborted,
  COLLECTION_NOT_EMPTY: Code.FailedPrecondition,
  INDEX_NOT_READY: Code.FailedPrecondition,
  ROLE_IN_USE: Code.FailedPrecondition,
  LAST_ADMINISTRATOR: Code.FailedPrecondition,
  SETUP_REQUIRED: Code.FailedPrecondition,
  SETUP_CLOSED: Code.FailedPrecondition,
  READ_ONLY: Code.FailedPrecondition,
  SEQUENCE_COMPACTED: Code.OutOfRange,
  SEQUENCE_IN_FUTURE: Code.OutOfRange,
  RATE_LIMITED: Code.ResourceExhausted,
  QUOTA_EXCEEDED: Code.ResourceExhausted,
  QUERY_LIMIT_EXCEEDED: Code.ResourceExhausted,
  STORAGE_FULL: Code.ResourceExhausted,
  WATCHER_TOO_SLOW: Code.ResourceExhausted,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  CANCELED: Code.Canceled,
  OVERLOADED: Code.Unavailable,
  ENGINE_UNAVAILABLE: Code.Unavailable,
  PROVIDER_UNAVAILABLE: Code.Unavailable,
  RECOVERING: Code.Unavailable,
  SHUTTING_DOWN: Code.Unavailable,
  FEATURE_DISABLED: Code.Unimplemented,
  CORRUPTION_DETECTED: Code.DataLoss,
  INTERNAL: Code.Internal,
} satisfies Record<Reason, Code>;

/** The domain of every ErrorInfo. */
export const ERROR_DOMAIN = 'moltendb.dev';

/** What a client is told about a failure it could not have caused. */
export const INTERNAL_MESSAGE = 'the server failed; tell its operator the request id';

/** A failure in the words of the wire. */
export interface WireError {
  readonly reason: Reason;
  readonly message: string;
  /** Connect's name of the code, such as `not_found`. */
  readonly code: string;
  readonly httpStatus: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
}

/** A failure as an `application/problem+json` document (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly reason: Reason;
  readonly requestId: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly retryAfterMs?: number;
}

/** Translates any error. What is not expected becomes INTERNAL and says nothing of its cause. */
export function toWireError(error: unknown): WireError {
  const known = error instanceof DomainError ? error : fromForeign(error);
  const code = CODES[known.reason];
  return {
    reason: known.reason,
    message: known.reason === 'INTERNAL' ? INTERNAL_MESSAGE : known.message,
    code: codeToString(code),
    httpStatus: codeToHttpStatus(code),
    metadata: known.metadata,
    violations: known.violations,
    retryAfterMs: known.retryAfterMs,
  };
}

/** What is said of an error to the log and the audit log, and to nobody else. */
export function noteOf(error: unknown): { readonly note?: string } {
  const note = error instanceof DomainError ? error.note : undefined;
  return note === undefined ? {} : { note };
}

/** The error Connect sends: one ErrorInfo, and BadRequest and RetryInfo where they say something. */
export function toConnectError(error: unknown): ConnectError {
  const { reason, message, metadata, violations, retryAfterMs } = toWireError(error);
  const connectError = new ConnectError(message, CODES[reason]);
  const info = create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata: { ...metadata } });
  connectError.details.push({ desc: ErrorInfoSchema, value: info });
  if (violations.length > 0) {
    const fieldViolations = violations.map(({ field, description }) => ({ field, description }));
    const value = create(BadRequestSchema, { fieldViolations });
    connectError.details.push({ desc: BadRequestSchema, value });
  }
  if (retryAfterMs !== undefined) {
    const value = create(RetryInfoSchema, { retryDelay: toDuration(retryAfterMs) });
    connectError.details.push({ desc: RetryInfoSchema, value });
  }
  return connectError;
}

/** The problem document of an error, for native REST. */
export function toProblem(error: unknown, requestId: string): Problem {
  const { reason, message, code, httpStatus, metadata, violations, retryAfterMs } =
    toWireError(error);
  return {
    type: `https://${ERROR_DOMAIN}/errors/${reason}`,
    title: code.replaceAll('_', ' '),
    status: httpStatus,
    ...{ detail: message, reason, requestId },
    ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
    ...(violations.length > 0 ? { violations } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Reports whether an error says its reason; what Connect itself raises does not. */
export function saysReason(error: ConnectError): boolean {
  return error.findDetails(ErrorInfoSchema).length > 0 || error.details.some(isErrorInfo);
}

function isErrorInfo(detail: ConnectError['details'][number]): boolean {
  return 'type' in detail && detail.type === ErrorInfoSchema.typeName;
}

function fromForeign(error: unknown): DomainError {
  return error instanceof ConnectError ? fromConnect(error) : internal(error);
}

/** The prefix of what Connect says when a binary message cannot be read; a code it calls internal. */
const UNREADABLE = 'parse binary: ';

/** What Connect itself raises while it reads a request, in our words. */
function fromConnect(error: ConnectError): DomainError {
  const { code, rawMessage } = error;
  if (rawMessage.startsWith(UNREADABLE)) return unreadable(rawMessage.slice(UNREADABLE.length));
  // The wire format was broken: too few or too many messages, or a flag that means nothing.
  if (rawMessage.startsWith('protocol error') || rawMessage.startsWith('received compressed')) {
    return new DomainError('ARGUMENT_INVALID', rawMessage, { cause: error });
  }
  const reason = FOREIGN[code];
  return reason === undefined
    ? internal(error)
    : new DomainError(reason, rawMessage, { cause: error });
}

/** The error for bytes that are not the message they should be. */
export function unreadable(problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `cannot decode the message: ${problem}`);
}

const FOREIGN: Partial<Record<Code, Reason>> = {
  [Code.InvalidArgument]: 'ARGUMENT_INVALID',
  // A message over the bound.
  [Code.ResourceExhausted]: 'ARGUMENT_INVALID',
  [Code.DeadlineExceeded]: 'DEADLINE_EXCEEDED',
  [Code.Canceled]: 'CANCELED',
  [Code.Aborted]: 'CANCELED',
  [Code.Unavailable]: 'SHUTTING_DOWN',
  // A compression that is not known.
  [Code.Unimplemented]: 'FEATURE_DISABLED',
};

function internal(cause: unknown): DomainError {
  return new DomainError('INTERNAL', INTERNAL_MESSAGE, { cause });
}
