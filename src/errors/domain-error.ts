import type { Reason } from './reason.ts';

/** One field of a request that broke a rule. `field` is a path such as `where.price.$gt`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What an error carries besides its message. */
export interface DomainErrorOptions {
  /** Every dynamic part of the message, by name; sent to the client. Never a secret or a document body. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The fields at fault, for bad input. */
  readonly violations?: readonly FieldViolation[];
  /** How long a client should wait before it tries again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Why, for the log and the audit log; never sent. */
  readonly note?: string;
  /** What led here; logged with the request id and never sent. */
  readonly cause?: unknown;
}

/**
 * An expected failure: the caller, the data or the state of the server is the reason, not a bug.
 *
 * The message is one lower-case sentence that names the thing, the bound and the fix. It is sent to
 * the client as it stands.
 */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  readonly note: string | undefined;

  constructor(reason: Reason, message: string, options: DomainErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
    this.note = options.note;
  }
}

/** Reports whether `error` is a DomainError with the given reason. */
export function hasReason(error: unknown, reason: Reason): error is DomainError {
  return error instanceof DomainError && error.reason === reason;
}
