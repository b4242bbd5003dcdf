import { DomainError } from '../../errors/domain-error.ts';
import { missingScope, type Principal } from '../access/principal.ts';
import type { Action } from '../access/scope.ts';

/** SCOPE_MISSING unless the action is granted on every key. */
export function permitCollection(principal: Principal, action: Action, collection: string): void {
  if (principal.scopes.coversCollection(action, collection)) return;
  throw missingScope(principal, { action, collection, key: '*' });
}

/** SCOPE_MISSING unless the action is granted on at least some keys. */
export function permitSomeKeys(principal: Principal, action: Action, collection: string): void {
  if (!principal.scopes.reaches(action, collection))
    throw missingScope(principal, { action, collection, key: '*' });
}

/** COLLECTION_NOT_FOUND. */
export function collectionNotFound(collection: string): DomainError {
  return new DomainError('COLLECTION_NOT_FOUND', `collection '${collection}' does not exist`, {
    metadata: { collection },
  });
}

/** COLLECTION_EXISTS. */
export function collectionExists(collection: string): DomainError {
  return new DomainError('COLLECTION_EXISTS', `collection '${collection}' exists already`, {
    metadata: { collection },
  });
}

/** INDEX_NOT_FOUND. */
export function indexNotFound(collection: string, index: string): DomainError {
  return new DomainError('INDEX_NOT_FOUND', `collection '${collection}' has no index '${index}'`, {
    metadata: { collection, index },
  });
}

/** What was expected of a collection, and what was found. */
export interface Mismatch {
  readonly expected: string;
  readonly found: string;
}

/** VERSION_MISMATCH of the revision. */
export function anotherRevision(collection: string, { expected, found }: Mismatch): DomainError {
  return new DomainError(
    'VERSION_MISMATCH',
    `collection '${collection}' has revision ${found}, not ${expected}; read it again`,
    { metadata: { collection, expected, found } },
  );
}

/** VERSION_MISMATCH of the uid. */
export function anotherIncarnation(collection: string, { expected, found }: Mismatch): DomainError {
  return new DomainError(
    'VERSION_MISMATCH',
    `collection '${collection}' was made anew since: its uid is ${found}, not ${expected}`,
    { metadata: { collection, expected, found } },
  );
}
