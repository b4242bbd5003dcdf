import { DomainError } from '../../errors/domain-error.ts';
import { sqliteCode } from './database.ts';
import type { Refusal } from './protocol.ts';

/** Turns any error into what may cross a thread. What is unknown becomes INTERNAL with its stack as detail. */
export function toRefusal(error: unknown): Refusal {
  const known = error instanceof DomainError ? error : translate(error);
  return {
    reason: known.reason,
    message: known.message,
    metadata: known.metadata,
    violations: known.violations,
    retryAfterMs: known.retryAfterMs,
    detail: known.cause instanceof Error ? (known.cause.stack ?? known.cause.message) : '',
  };
}

/** The DomainError that a refusal stands for. */
export function toError(refusal: Refusal): DomainError {
  const { metadata, violations, retryAfterMs, detail } = refusal;
  return new DomainError(refusal.reason, refusal.message, {
    ...{ metadata, violations },
    ...(detail === '' ? {} : { cause: new Error(detail) }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** What SQLite's own errors mean to a caller. */
function translate(error: unknown): DomainError {
  const code = sqliteCode(error);
  const cause = { cause: error };
  if (code === undefined)
    return new DomainError('INTERNAL', 'the store failed unexpectedly', cause);
  if (code === 'SQLITE_FULL') {
    return new DomainError(
      'STORAGE_FULL',
      'the disk of the store is full; free space, then write again',
      cause,
    );
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new DomainError(
      'CORRUPTION_DETECTED',
      'the store file is damaged; stop the server and restore the newest snapshot',
      cause,
    );
  }
  return new DomainError('ENGINE_UNAVAILABLE', `the store failed with ${code}`, cause);
}
