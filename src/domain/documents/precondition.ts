import { DomainError } from '../../errors/domain-error.ts';
import type { Precondition, StoredDocument } from '../../storage/types.ts';
import type { WriteStep } from './steps.ts';

/** Reports whether a document must not exist. */
export function wantsNone(precondition: Precondition | undefined): boolean {
  return (
    (precondition?.kind === 'exists' && !precondition.exists) ||
    (precondition?.kind === 'version' && precondition.version === 0n)
  );
}

/** The check of the engine, for writes that never get there: VERSION_MISMATCH, or DOCUMENT_EXISTS. */
export function checkPrecondition(
  { collection, key, precondition }: WriteStep,
  current: StoredDocument | undefined,
): void {
  if (precondition === undefined || holds(precondition, current)) return;
  const isInsertion = precondition.kind === 'exists' && !precondition.exists;
  const found = String(current?.version ?? 0);
  const state = current === undefined ? 'it does not exist' : `its version is ${found}`;
  throw new DomainError(
    isInsertion ? 'DOCUMENT_EXISTS' : 'VERSION_MISMATCH',
    `the precondition on document '${key}' of collection '${collection}' does not hold: ${state}`,
    { metadata: { collection, key, found } },
  );
}

function holds(precondition: Precondition, current: StoredDocument | undefined): boolean {
  switch (precondition.kind) {
    case 'exists':
      return precondition.exists === (current !== undefined);
    case 'version':
      return (current?.version ?? 0n) === precondition.version;
    case 'sequence':
      return current?.sequence === precondition.sequence;
  }
}
