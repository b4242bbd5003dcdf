import { DomainError } from '../../errors/domain-error.ts';
import { sqliteCode } from './database.ts';
import { toError } from '../commit/operations.ts';
import { toRefusal } from './refusal.ts';
import type { StoreState } from './store-state.ts';
import type { WriterThread } from './writer-thread.ts';

const FAULT =
  'writing stopped after a read found the store file damaged; stop the server, run `molten verify`, and recover from a snapshot';

/** What a failure of the store means to a caller; other errors as they are. */
export function translated(error: unknown): unknown {
  // Errors of the file system and of callers have codes too.
  const isOfStore = sqliteCode(error)?.startsWith('SQLITE_') === true;
  return isOfStore ? toError(toRefusal(error)) : error;
}

/**
 * What a read failed with, as its caller may know it. What is damaged must not be written on: a failed
 * checksum stops all writing, as a failed write does.
 */
export function failureOf(
  error: unknown,
  { state, writer }: { readonly state: StoreState; readonly writer: WriterThread },
): unknown {
  const failure = translated(error);
  const isDamage = failure instanceof DomainError && failure.reason === 'CORRUPTION_DETECTED';
  if (isDamage && state.fault === undefined) {
    state.fail(FAULT);
    // A writer that is gone writes nothing more either.
    writer.run({ kind: 'stop', fault: FAULT }).catch(() => undefined);
  }
  return failure;
}
