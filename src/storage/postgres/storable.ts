import { DomainError } from '../../errors/domain-error.ts';
import type { CommitRequest } from '../commit/operations.ts';

/**
 * KEY_INVALID for a name that the database does not store as it is: one such name would fail everybody
 * whose writes share its commit.
 */
export function assertStorable({
  operations,
  request,
  seen,
  seenCollections,
}: CommitRequest): void {
  for (const one of [...operations, ...seen, ...seenCollections]) {
    assertText('collection', one.collection);
    if ('key' in one) assertText('key', one.key);
  }
  if (request === undefined) return;
  assertText('request id', request.id);
  assertText('principal', request.principal);
}

function assertText(field: string, text: string): void {
  if (text.isWellFormed() && !text.includes('\0')) return;
  throw new DomainError('KEY_INVALID', `${field} holds U+0000 or half of a character`, {
    metadata: { field },
  });
}
