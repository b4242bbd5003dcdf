/**
 * Documents: reading and writing JSON objects by key.
 *
 * A write is a list of steps; they are checked, permitted and prepared inside one transaction of the
 * engine, which runs them again when what they read has changed, and commits all of them or none.
 * `body` checks what comes in, `change` and `transform` compute partial changes, `prepare` turns steps
 * into puts and deletes under the rules of their collection, `reads` and `writes` are what callers use.
 *
 * Which keys are touched is enforced here, every time, from the scopes of the caller: named keys that are
 * not covered fail the whole request before anything is looked up; lists show only what is covered. Fields
 * that are hidden from the caller do not exist for it, in what it is shown, asks or writes: `visibility`.
 */
import type { Sequence, StoredDocument } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import type { DocumentsParts } from './parts.ts';
import { visibilityOf } from '../visibility/visibility.ts';
import { permitKeys } from './permission.ts';
import { createReads, type DocumentReads } from './reads.ts';
import { createWrites, type DocumentWrites } from './writes.ts';

/** Everything one can do with documents. */
export interface Documents {
  readonly reads: DocumentReads;
  readonly writes: DocumentWrites;
  /** Makes the key of a document that came without one: a UUIDv7, later ones sorting later. */
  readonly newKey: () => string;
  /** SCOPE_MISSING when the caller may not be shown a document that it writes. */
  permitRead(principal: Principal, collection: string, key: string): void;
  /** A document right after a write of it, as its writer sees it. */
  readBack(
    principal: Principal,
    written: Pick<StoredDocument, 'collection' | 'key'>,
    sequence: Sequence,
  ): Promise<StoredDocument | undefined>;
}

/** Creates the domain of documents. */
export function createDocuments(parts: DocumentsParts): Documents {
  return {
    reads: createReads(parts),
    writes: createWrites(parts),
    newKey: () => parts.ids.uuid(),
    permitRead(principal, collection, key) {
      permitKeys(principal, 'read', { collection, keys: [key] });
    },
    async readBack(principal, { collection, key }, atSequence) {
      const [document] = await parts.engine.get(collection, [key], { atSequence });
      return document && visibilityOf(principal, collection).show(document);
    },
  };
}
