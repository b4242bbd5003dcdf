import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { compileIndex, type IndexEncoder } from '../query/encode.ts';
import type { CollectionSettings, IndexField, IndexSpec } from '../types.ts';
import type { CollectionRow, IndexRow } from './rows.ts';
import type { CatalogStore } from './store.ts';

/** An index and the compiled function that computes its entries. */
export interface LiveIndex {
  readonly row: IndexRow;
  readonly encode: IndexEncoder;
}

/** One live collection as the writer knows it; changed in place, written back before each commit. */
export interface LiveCollection {
  readonly id: number;
  readonly name: string;
  readonly uid: string;
  revision: number;
  documentsMax: number | null;
  rules: string;
  documents: number;
  bytes: number;
  readonly createdAtMs: number;
  lastPutAtMs: number;
  /** The log entry that gave it its settings. */
  settingsSequence: number;
  indexes: readonly LiveIndex[];
}

/** Names a document that was written. */
export interface WrittenKey {
  readonly collection: string;
  readonly key: string;
}

/** One collection as it is now. */
export interface CollectionChange {
  readonly name: string;
  readonly row: CollectionRow | undefined;
  readonly indexes: readonly IndexRow[];
}

/** What copies elsewhere must take over or forget. */
export interface CatalogChanges {
  readonly collections: readonly CollectionChange[];
  /** Documents written, or all of them. */
  readonly written: readonly WrittenKey[] | 'all';
}

/** At most this many indexes per collection: each costs every write. */
const INDEXES_MAX = 32;

/**
 * The writer's own copy of all collections. Changes of one transaction can be taken back; changes since
 * the last `takeChanges` are told to the main thread.
 */
export interface WriterCatalog {
  find(name: string): LiveCollection | undefined;
  all(): Iterable<LiveCollection>;
  /** The collection, about to be changed in place. */
  edit(collection: LiveCollection): LiveCollection;
  create(name: string, settings: CollectionSettings, at: CreationTime): LiveCollection;
  /** Ends the incarnation; its documents stay readable in the past. */
  drop(collection: LiveCollection, sequence: number): void;
  /** Goes on with an empty incarnation of the same identity. */
  clear(collection: LiveCollection, sequence: number): LiveCollection;
  addIndex(collection: LiveCollection, spec: IndexSpec, nowMs: number): IndexRow;
  dropIndex(collection: LiveCollection, index: LiveIndex): void;
  /** Writes a changed state of an index. */
  saveIndex(collection: LiveCollection, row: IndexRow): void;
  /** Starts to remember, for `rollback`. */
  begin(): void;
  rollback(): void;
  /** Writes counters and settings of what changed; call before COMMIT. */
  save(): void;
  /** Notes that copies of a document are out of date. */
  noteWrite(collection: LiveCollection, key: string): void;
  /** What changed since the last call. */
  takeChanges(): CatalogChanges;
  /** Forgets everything and reads it anew, after a failed commit. */
  reload(): void;
}

/** Reads all live collections and keeps them in step with what the writer does. */
export function createWriterCatalog(store: CatalogStore): WriterCatalog {
  return new StoredCatalog(store);
}

class StoredCatalog implements WriterCatalog {
  readonly #store: CatalogStore;
  readonly #changed = new Set<string>();
  #live: Map<string, LiveCollection>;
  #before: Map<string, LiveCollection | undefined> | undefined;
  #written: WrittenKey[] = [];
  #hasRetired = false;

  constructor(store: CatalogStore) {
    this.#store = store;
    this.#live = loadCollections(store);
  }

  find(name: string): LiveCollection | undefined {
    return this.#live.get(name);
  }

  all(): Iterable<LiveCollection> {
    return this.#live.values();
  }

  edit(collection: LiveCollection): LiveCollection {
    this.#touch(collection.name);
    return collection;
  }

  create(name: string, settings: CollectionSettings, at: CreationTime): LiveCollection {
    const row = {
      ...{ name, uid: randomUUID(), revision: 1, rules: settings.rules },
      documents_max: settings.documentsMax ?? null,
      ...{ created_at: at.ms, last_put_at: at.ms, settings_seq: at.sequence },
    };
    return this.#insert(row, at.sequence);
  }

  drop(collection: LiveCollection, sequence: number): void {
    this.#touch(collection.name);
    this.#store.saveCollection(rowOf(collection));
    this.#store.retireCollection(collection.id, sequence);
    this.#live.delete(collection.name);
    this.#hasRetired = true;
  }

  clear(collection: LiveCollection, sequence: number): LiveCollection {
    this.drop(collection, sequence);
    const next = this.#insert(rowOf(collection), sequence);
    for (const { row } of collection.indexes) {
      const { name, fields, is_unique: isUnique, created_at: createdAtMs } = row;
      this.#insertIndex(next, { name, fields, isUnique, createdAtMs });
    }
    return next;
  }

  addIndex(collection: LiveCollection, spec: IndexSpec, nowMs: number): IndexRow {
    if (collection.indexes.length >= INDEXES_MAX) throw tooManyIndexes(collection.name);
    this.#touch(collection.name);
    collection.revision += 1;
    return this.#insertIndex(collection, {
      name: spec.name,
      fields: JSON.stringify(spec.fields),
      isUnique: spec.unique ? 1 : 0,
      createdAtMs: nowMs,
    });
  }

  dropIndex(collection: LiveCollection, index: LiveIndex): void {
    this.#touch(collection.name);
    collection.revision += 1;
    collection.indexes = collection.indexes.filter((other) => other !== index);
    this.#store.deleteIndex(index.row.id);
  }

  saveIndex(collection: LiveCollection, row: IndexRow): void {
    this.#touch(collection.name);
    this.#store.saveIndex(row);
    collection.indexes = collection.indexes.map((index) =>
      index.row.id === row.id ? { ...index, row } : index,
    );
  }

  begin(): void {
    this.#before = new Map();
  }

  rollback(): void {
    for (const [name, collection] of this.#before ?? []) {
      if (collection === undefined) this.#live.delete(name);
      else this.#live.set(name, collection);
    }
    this.#before = undefined;
  }

  save(): void {
    this.#before = undefined;
    for (const name of this.#changed) {
      const collection = this.#live.get(name);
      if (collection !== undefined) this.#store.saveCollection(rowOf(collection));
    }
  }

  noteWrite(collection: LiveCollection, key: string): void {
    this.#written.push({ collection: collection.name, key });
  }

  takeChanges(): CatalogChanges {
    const changes: CatalogChanges = {
      collections: [...this.#changed].map((name) => changeOf(name, this.#live.get(name))),
      written: this.#hasRetired ? 'all' : this.#written,
    };
    this.#changed.clear();
    this.#written = [];
    this.#hasRetired = false;
    return changes;
  }

  reload(): void {
    for (const name of this.#live.keys()) this.#changed.add(name);
    this.#live = loadCollections(this.#store);
    for (const name of this.#live.keys()) this.#changed.add(name);
    this.#hasRetired = true;
    this.#before = undefined;
  }

  #touch(name: string): void {
    this.#changed.add(name);
    if (this.#before === undefined || this.#before.has(name)) return;
    const current = this.#live.get(name);
    this.#before.set(name, current && { ...current });
  }

  #insert(row: Omit<CollectionRow, 'id' | 'documents' | 'bytes'>, born: number): LiveCollection {
    this.#touch(row.name);
    const empty = { ...row, documents: 0, bytes: 0 };
    const id = this.#store.insertCollection(empty, born);
    const collection = liveCollection({ ...empty, id }, []);
    this.#live.set(row.name, collection);
    return collection;
  }

  #insertIndex(collection: LiveCollection, spec: NewIndex): IndexRow {
    const { name, fields, isUnique, createdAtMs } = spec;
    const state = collection.documents === 0 ? 'ready' : 'building';
    const fresh = {
      collection: collection.id,
      ...{ name, fields, is_unique: isUnique, state, created_at: createdAtMs },
      ...{ documents_done: 0, built_to: null, failure: '' },
    };
    const row: IndexRow = { ...fresh, id: this.#store.insertIndex(fresh) };
    collection.indexes = [...collection.indexes, liveIndex(row)];
    return row;
  }
}

interface CreationTime {
  readonly ms: number;
  readonly sequence: number;
}

interface NewIndex {
  readonly name: string;
  readonly fields: string;
  readonly isUnique: number;
  readonly createdAtMs: number;
}

function loadCollections(store: CatalogStore): Map<string, LiveCollection> {
  const all = store.loadCollections();
  return new Map(all.map(({ row, indexes }) => [row.name, liveCollection(row, indexes)]));
}

function liveCollection(row: CollectionRow, indexes: readonly IndexRow[]): LiveCollection {
  return {
    ...{ id: row.id, name: row.name, uid: row.uid, revision: row.revision },
    ...{ documentsMax: row.documents_max, rules: row.rules },
    ...{ documents: row.documents, bytes: row.bytes },
    ...{ createdAtMs: row.created_at, lastPutAtMs: row.last_put_at },
    settingsSequence: row.settings_seq,
    indexes: indexes.map(liveIndex),
  };
}

function liveIndex(row: IndexRow): LiveIndex {
  // Written by this engine from an IndexSpec.
  return { row, encode: compileIndex(JSON.parse(row.fields) as IndexField[]) };
}

function rowOf(collection: LiveCollection): CollectionRow {
  const { id, name, uid, revision, rules, documents, bytes } = collection;
  return {
    ...{ id, name, uid, revision, rules, documents, bytes },
    documents_max: collection.documentsMax,
    created_at: collection.createdAtMs,
    last_put_at: collection.lastPutAtMs,
    settings_seq: collection.settingsSequence,
  };
}

function changeOf(name: string, collection: LiveCollection | undefined): CollectionChange {
  return {
    name,
    row: collection && rowOf(collection),
    indexes: collection?.indexes.map(({ row }) => row) ?? [],
  };
}

function tooManyIndexes(collection: string): DomainError {
  const limit = INDEXES_MAX.toString();
  return new DomainError(
    'ARGUMENT_INVALID',
    `collection '${collection}' has ${limit} indexes already, the most there can be; drop one first`,
    { metadata: { collection, limit } },
  );
}
