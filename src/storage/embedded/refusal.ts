import { DomainError } from '../../errors/domain-error.ts';
import { refusalOf, type Refusal } from '../commit/operations.ts';
import { sqliteCode } from './database.ts';

/** Turns any error into what may cross a thread. What is unknown becomes INTERNAL with its stack as detail. */
export function toRefusal(error: unknown): Refusal {
  return refusalOf(error instanceof DomainError ? error : translate(error));
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
