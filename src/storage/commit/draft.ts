import { DomainError } from '../../errors/domain-error.ts';
import type { DocumentReader, Transaction } from '../engine.ts';
import type { StoredDocument } from '../types.ts';
import type { CommitRequest, Operation, SeenCollection, SeenDocument } from './operations.ts';

/** A transaction being written down: what was read and what shall be done. */
export interface Draft {
  readonly transaction: Transaction;
  /** What must still be so when it commits, and what shall be done. */
  work(): Pick<CommitRequest, 'seen' | 'seenCollections' | 'operations'>;
  /** Later writes are refused: the callback has returned. */
  seal(): void;
}

/** Starts a draft that reads through `reader`. */
export function createDraft(reader: DocumentReader): Draft {
  const operations: Operation[] = [];
  const gotten = new Map<string, SeenDocument>();
  const found = new Map<string, SeenDocument>();
  const collections = new Map<string, SeenCollection>();
  const written = new Set<string>();
  let isSealed = false;

  function add(operation: Operation): void {
    if (isSealed) throw sealed();
    operations.push(operation);
  }

  function addWrite(operation: Extract<Operation, { kind: 'put' | 'delete' }>): void {
    const { collection, key } = operation;
    const name = nameOf(collection, key);
    if (written.has(name)) throw writtenTwice(collection, key);
    written.add(name);
    add(operation);
  }

  const transaction: Transaction = {
    async get(collection, keys, options) {
      const documents = await reader.get(collection, keys, options);
      if (options?.atSequence !== undefined) return documents;
      keys.forEach((key, at) => {
        remember(gotten, seenOf(collection, key, documents[at]));
      });
      return documents;
    },
    async query(query, options) {
      const page = await reader.query(query, options);
      if (options?.atSequence !== undefined) return page;
      for (const document of page.documents) {
        remember(found, seenOf(document.collection, document.key, document));
      }
      return page;
    },
    put({ collection, key, body, expiresAtMs, precondition, isUpdate = false }) {
      addWrite({ kind: 'put', collection, key, body, expiresAtMs, precondition, isUpdate });
    },
    delete({ collection, key, precondition, cause }) {
      addWrite({ kind: 'delete', collection, key, precondition, cause });
    },
    require(collection, key, precondition) {
      add({ kind: 'require', collection, key, precondition });
    },
    requireRevision(collection, revision, lastPutAtMs) {
      collections.set(collection, { collection, revision: Number(revision), lastPutAtMs });
    },
    ...collectionWrites(add),
  };

  return {
    transaction,
    work() {
      const finds = [...found].filter(([name]) => written.has(name) && !gotten.has(name));
      const seen = [...gotten.values(), ...finds.map(([, document]) => document)];
      return { seen, seenCollections: [...collections.values()], operations };
    },
    seal() {
      isSealed = true;
    },
  };
}

type CollectionWrites = Pick<
  Transaction,
  'createCollection' | 'configureCollection' | 'dropCollection' | 'clearCollection'
>;

function collectionWrites(add: (operation: Operation) => void): CollectionWrites {
  return {
    createCollection(collection, settings) {
      add({ kind: 'createCollection', collection, settings });
    },
    configureCollection(collection, settings) {
      add({ kind: 'configureCollection', collection, settings });
    },
    dropCollection(collection, cause) {
      add({ kind: 'dropCollection', collection, cause });
    },
    clearCollection(collection, cause) {
      add({ kind: 'clearCollection', collection, cause });
    },
  };
}

function seenOf(
  collection: string,
  key: string,
  document: StoredDocument | undefined,
): SeenDocument {
  return { collection, key, sequence: Number(document?.sequence ?? 0) };
}

/** The first sight counts: what changed between two reads of one transaction makes it run again. */
function remember(seen: Map<string, SeenDocument>, document: SeenDocument): void {
  const name = nameOf(document.collection, document.key);
  if (!seen.has(name)) seen.set(name, document);
}

function nameOf(collection: string, key: string): string {
  return JSON.stringify([collection, key]);
}

function writtenTwice(collection: string, key: string): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    `document '${key}' of collection '${collection}' is written twice in one transaction; write it once`,
    { metadata: { collection, key } },
  );
}

function sealed(): DomainError {
  return new DomainError('INTERNAL', 'a transaction was written to after its callback returned');
}
