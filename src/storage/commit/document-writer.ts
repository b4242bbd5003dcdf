import { DomainError } from '../../errors/domain-error.ts';
import type { IndexEntry } from '../query/encode.ts';
import type { CollectionSettings, Precondition, RemovalCause } from '../types.ts';
import { createEntryKeeper, type EntryKeeper, type UniqueValue } from './index-entries.ts';
import type { LiveCollection } from './catalog.ts';
import type { CommitterParts } from './committer.ts';
import type { Operation, SeenDocument, WrittenDocument } from './operations.ts';
import { CAUSE, ENTRY_KIND, type DocumentRow } from './rows.ts';
import type { Head } from './store.ts';

type Put = Extract<Operation, { kind: 'put' }>;
type Delete = Extract<Operation, { kind: 'delete' }>;

/** Writes documents: log entry, head and index entries together. */
export interface DocumentWriter {
  /** Starts a transaction: forgets unique values still to be checked. */
  begin(): void;
  put(operation: Put): WrittenDocument;
  delete(operation: Delete): WrittenDocument;
  require(collection: string, key: string, precondition: Precondition): void;
  /** Deletes a live document that nobody asked to delete. */
  remove(collection: string, key: string, cause: RemovalCause): void;
  /** The sequence of the last write of a document; 0 when it does not exist now. */
  sequenceOf(seen: Pick<SeenDocument, 'collection' | 'key'>): number;
  /** UNIQUE_VIOLATION when a value written since `begin` is held by two documents. */
  checkUnique(): void;
}

/** A collection that came into being with its first document. */
const DEFAULT_SETTINGS: CollectionSettings = { documentsMax: undefined, rules: '{}' };

/** Creates the document half of a committer. */
export function createDocumentWriter(parts: CommitterParts): DocumentWriter {
  return new LogDocumentWriter(parts);
}

class LogDocumentWriter implements DocumentWriter {
  readonly #parts: CommitterParts;
  readonly #entries: EntryKeeper;
  #uniqueValues: UniqueValue[] = [];

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#entries = createEntryKeeper(parts.store);
  }

  begin(): void {
    this.#uniqueValues = [];
  }

  put(operation: Put): WrittenDocument {
    const { key } = operation;
    const { store, catalog, log } = this.#parts;
    const collection = this.#collectionFor(operation.collection);
    const { current, previous } = this.#makeRoom(collection, key);
    check(operation, current);
    const next = this.#nextState(operation, current);
    const { version, seq: sequence, created_seq: createdSequence, created_at: createdAtMs } = next;
    const before = this.#entriesOf(collection, current);
    log.append({
      ...{ kind: ENTRY_KIND.put, collection: collection.id, key, version, previous },
      ...{ createdSequence, createdAtMs, expiresAtMs: operation.expiresAtMs, body: operation.body },
    });
    const { seq, created_seq, expires_at } = next;
    store.saveHead({ collection: collection.id, key, seq, live: 1, created_seq, expires_at });
    const written = this.#entries.replace(collection, { before, document: next });
    this.#uniqueValues.push(...written);
    catalog.noteWrite(collection, key);
    collection.documents += current === undefined ? 1 : 0;
    log.addHistory(current?.bytes ?? 0);
    collection.bytes += Buffer.byteLength(operation.body) - (current?.bytes ?? 0);
    if (!operation.isUpdate) collection.lastPutAtMs = log.timestampMs();
    return {
      ...{ collection: collection.name, key, kind: 'put', created: current === undefined },
      ...{ existed: true, version, sequence, createdSequence, createdAtMs },
    };
  }

  delete(operation: Delete): WrittenDocument {
    const { collection: name, key } = operation;
    const { catalog } = this.#parts;
    const found = catalog.find(name);
    const head = found && this.#headOf(found, key);
    const current = this.#alive(head);
    check(operation, current);
    const nothing: WrittenDocument = {
      ...{ collection: name, key, kind: 'delete', created: false, existed: false, version: 0 },
      ...{ sequence: 0, createdSequence: 0, createdAtMs: 0 },
    };
    if (found === undefined || head?.live !== 1) return nothing;
    if (current === undefined) {
      // Does only now what the sweep would have done.
      this.#removeHead(catalog.edit(found), key, { head, cause: 'expired' });
      return nothing;
    }
    if (operation.cause === 'expired') return nothing;
    const sequence = this.#removeHead(catalog.edit(found), key, { head, cause: operation.cause });
    const { created_seq: createdSequence, created_at: createdAtMs } = head;
    return { ...nothing, existed: true, sequence, createdSequence, createdAtMs };
  }

  require(collection: string, key: string, precondition: Precondition): void {
    const found = this.#parts.catalog.find(collection);
    const current = found && this.#alive(this.#headOf(found, key));
    check({ collection, key, precondition }, current);
  }

  remove(name: string, key: string, cause: RemovalCause): void {
    const collection = this.#parts.catalog.find(name);
    const head = collection && this.#headOf(collection, key);
    if (collection === undefined || head?.live !== 1) return;
    this.#removeHead(this.#parts.catalog.edit(collection), key, { head, cause });
  }

  sequenceOf({ collection, key }: Pick<SeenDocument, 'collection' | 'key'>): number {
    const found = this.#parts.catalog.find(collection);
    const current = found && this.#alive(this.#headOf(found, key));
    return current?.seq ?? 0;
  }

  checkUnique(): void {
    for (const { collection, index, value, key } of this.#uniqueValues) {
      for (const holder of this.#entries.otherHolders(index, value, key)) {
        const head = this.#headOf(collection, holder);
        if (this.#alive(head)) throw uniqueViolation(collection.name, index.row.name, key);
        if (head !== undefined) this.#removeHead(collection, holder, { head, cause: 'expired' });
      }
    }
    this.#uniqueValues = [];
  }

  /** Removes an expired predecessor, so that what is written next is a new document. */
  #makeRoom(
    collection: LiveCollection,
    key: string,
  ): { readonly current: Head | undefined; readonly previous: number } {
    const head = this.#headOf(collection, key);
    if (head?.live !== 1) return { current: undefined, previous: head?.seq ?? 0 };
    if (this.#alive(head)) return { current: head, previous: head.seq };
    const previous = this.#removeHead(collection, key, { head, cause: 'expired' });
    return { current: undefined, previous };
  }

  #nextState({ key, body, expiresAtMs }: Put, current: Head | undefined): DocumentRow {
    const { log } = this.#parts;
    const seq = log.next();
    return {
      ...{ key, body, seq, ts: log.timestampMs() },
      version: (current?.version ?? 0) + 1,
      created_seq: current?.created_seq ?? seq,
      created_at: current?.created_at ?? log.timestampMs(),
      expires_at: expiresAtMs ?? null,
    };
  }

  #headOf(collection: LiveCollection, key: string): Head | undefined {
    return this.#parts.store.head(collection.id, key);
  }

  /** The head when the document exists: neither deleted nor expired. */
  #alive(head: Head | undefined): Head | undefined {
    if (head?.live !== 1) return undefined;
    const isExpired = head.expires_at !== null && head.expires_at <= this.#parts.log.nowMs();
    return isExpired ? undefined : head;
  }

  #collectionFor(name: string): LiveCollection {
    const { catalog, log } = this.#parts;
    const found = catalog.find(name);
    if (found !== undefined) return catalog.edit(found);
    const at = { ms: log.timestampMs(), sequence: log.next() };
    const made = catalog.create(name, DEFAULT_SETTINGS, at);
    const body = JSON.stringify(DEFAULT_SETTINGS);
    log.append({ kind: ENTRY_KIND.createCollection, collection: made.id, body });
    return made;
  }

  #entriesOf(collection: LiveCollection, head: Head | undefined): readonly IndexEntry[] {
    if (collection.indexes.length === 0 || head === undefined) return [];
    return this.#entries.compute(collection, this.#parts.store.document(head.seq));
  }

  #removeHead(
    collection: LiveCollection,
    key: string,
    { head, cause }: { readonly head: Head; readonly cause: RemovalCause | undefined },
  ): number {
    const { store, catalog, log } = this.#parts;
    this.#entries.drop(collection, key, this.#entriesOf(collection, head));
    const sequence = log.append({
      ...{ kind: ENTRY_KIND.delete, collection: collection.id, key, previous: head.seq },
      ...{ createdSequence: head.created_seq, createdAtMs: head.created_at },
      cause: cause === undefined ? 0 : CAUSE[cause],
    });
    const { created_seq } = head;
    store.saveHead({
      ...{ collection: collection.id, key, seq: sequence, live: 0, created_seq, expires_at: null },
    });
    catalog.noteWrite(collection, key);
    collection.documents -= 1;
    collection.bytes -= head.bytes ?? 0;
    log.addHistory(head.bytes ?? 0);
    return sequence;
  }
}

interface Checked {
  readonly collection: string;
  readonly key: string;
  readonly precondition: Precondition | undefined;
}

function check({ collection, key, precondition }: Checked, current: Head | undefined): void {
  if (precondition === undefined) return;
  if (precondition.kind === 'exists') {
    if (precondition.exists === (current !== undefined)) return;
    if (precondition.exists) {
      throw mismatch({ collection, key, counter: 'version', expected: 'any', found: 0 });
    }
    throw new DomainError(
      'DOCUMENT_EXISTS',
      `document '${key}' exists in collection '${collection}' already`,
      { metadata: { collection, key } },
    );
  }
  const isVersion = precondition.kind === 'version';
  const found = (isVersion ? current?.version : current?.seq) ?? 0;
  const expected = (isVersion ? precondition.version : precondition.sequence).toString();
  if (found.toString() === expected) return;
  throw mismatch({ collection, key, counter: precondition.kind, expected, found });
}

interface Mismatch {
  readonly collection: string;
  readonly key: string;
  readonly counter: string;
  readonly expected: string;
  readonly found: number;
}

function mismatch({ collection, key, counter, expected, found }: Mismatch): DomainError {
  const name = `document '${key}' in collection '${collection}'`;
  return new DomainError(
    'VERSION_MISMATCH',
    found === 0
      ? `${name} does not exist, ${counter} ${expected} was expected; read it again`
      : `${name} has ${counter} ${found.toString()}, not ${expected}; read it again`,
    { metadata: { collection, key, expected, found: found.toString() } },
  );
}

function uniqueViolation(collection: string, index: string, key: string): DomainError {
  return new DomainError(
    'UNIQUE_VIOLATION',
    `document '${key}' repeats a value of the unique index '${index}' of collection '${collection}'`,
    { metadata: { collection, index, key } },
  );
}
