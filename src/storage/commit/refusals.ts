import { DomainError } from '../../errors/domain-error.ts';

/** Names an index. */
interface NamedIndex {
  readonly collection: string;
  readonly name: string;
}

/** COLLECTION_NOT_FOUND. */
export function collectionNotFound(collection: string): DomainError {
  return new DomainError('COLLECTION_NOT_FOUND', `collection '${collection}' does not exist`, {
    metadata: { collection },
  });
}

/** INDEX_EXISTS. */
export function indexExists({ collection, name }: NamedIndex): DomainError {
  return new DomainError(
    'INDEX_EXISTS',
    `collection '${collection}' has an index '${name}' already; drop it first or choose another name`,
    { metadata: { collection, index: name } },
  );
}

/** INDEX_NOT_FOUND. */
export function indexNotFound({ collection, name }: NamedIndex): DomainError {
  return new DomainError('INDEX_NOT_FOUND', `collection '${collection}' has no index '${name}'`, {
    metadata: { collection, index: name },
  });
}

/** TRANSACTION_CONFLICT for work under a lease that another node has taken. */
export function leaseLost(job: string): DomainError {
  return new DomainError('TRANSACTION_CONFLICT', `another node has taken the job '${job}'`, {
    metadata: { job },
  });
}

/** SEQUENCE_COMPACTED for a position of another timeline of the log. */
export function wrongEpoch(asked: string): DomainError {
  return new DomainError(
    'SEQUENCE_COMPACTED',
    'the position belongs to another timeline of the log; read the current state and go on from there',
    { metadata: { epoch: asked, oldest: '0' } },
  );
}

/** SEQUENCE_IN_FUTURE. */
export function inFuture(asked: number, last: number): DomainError {
  return new DomainError(
    'SEQUENCE_IN_FUTURE',
    `sequence ${asked.toString()} is not committed yet; the newest is ${last.toString()}`,
    { metadata: { sequence: asked.toString(), newest: last.toString() } },
  );
}

/** SEQUENCE_COMPACTED. */
export function compacted(sequence: number, floor: number): DomainError {
  const oldest = floor.toString();
  return new DomainError(
    'SEQUENCE_COMPACTED',
    `sequence ${sequence.toString()} is no longer kept; the log reaches back to ${oldest}`,
    { metadata: { sequence: sequence.toString(), oldest } },
  );
}
