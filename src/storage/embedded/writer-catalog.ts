import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { compileIndex, type IndexEncoder } from '../query/encode.ts';
import type { CollectionSettings, IndexField, IndexSpec } from '../types.ts';
import type { Statement } from './database.ts';
import type { CollectionChange, WrittenKey } from './protocol.ts';
import type { CollectionRow, IndexRow } from './rows.ts';

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
  indexes: readonly LiveIndex[];
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
  create(
    name: string,
    settings: CollectionSettings,
    at: { ms: number; sequence: number },
  ): LiveCollection;
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

const SELECT_COLLECTIONS = `SELECT id, name, uid, revision, documents_max, rules, documents, bytes, created_at, last_put_at
  FROM collection WHERE retired IS NULL`;
const INSERT_COLLECTION = `INSERT INTO collection
  (name, uid, revision, documents_max, rules, documents, bytes, created_at, last_put_at, born)
  VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, ?)`;
const SAVE_COLLECTION = `UPDATE collection
  SET revision = ?, documents_max = ?, rules = ?, documents = ?, bytes = ?, last_put_at = ? WHERE id = ?`;
const INSERT_INDEX = `INSERT INTO idx
  (collection, name, fields, is_unique, state, documents_done, build_cursor, failure, created_at)
  VALUES (?, ?, ?, ?, ?, 0, NULL, '', ?)`;
const SAVE_INDEX =
  'UPDATE idx SET state = ?, documents_done = ?, build_cursor = ?, failure = ? WHERE id = ?';

/** Reads all live collections and keeps them in step with what the writer does. */
export function createWriterCatalog(sql: (text: string) => Statement): WriterCatalog {
  let live = loadCollections(sql);
  let before: Map<string, LiveCollection | undefined> | undefined;
  const changed = new Set<string>();
  let written: WrittenKey[] = [];
  let hasRetired = false;

  function touch(name: string): void {
    changed.add(name);
    if (before === undefined || before.has(name)) return;
    const current = live.get(name);
    before.set(name, current && { ...current });
  }

  function retire(collection: LiveCollection, sequence: number): void {
    touch(collection.name);
    saveCollection(sql, collection);
    sql('UPDATE collection SET retired = ? WHERE id = ?').run(sequence, collection.id);
    sql('INSERT INTO retired_idx (id) SELECT id FROM idx WHERE collection = ?').run(collection.id);
    sql('DELETE FROM idx WHERE collection = ?').run(collection.id);
    live.delete(collection.name);
    hasRetired = true;
  }

  function insert(
    row: Omit<CollectionRow, 'id' | 'documents' | 'bytes'>,
    born: number,
  ): LiveCollection {
    touch(row.name);
    const { name, uid, revision, documents_max, rules, created_at, last_put_at } = row;
    const { lastInsertRowid } = sql(INSERT_COLLECTION).run(
      ...[name, uid, revision, documents_max, rules, created_at, last_put_at, born],
    );
    const collection = liveCollection(
      { ...row, id: Number(lastInsertRowid), documents: 0, bytes: 0 },
      [],
    );
    live.set(name, collection);
    return collection;
  }

  function insertIndex(collection: LiveCollection, spec: NewIndex): IndexRow {
    const { name, fields, isUnique, createdAtMs } = spec;
    const state = collection.documents === 0 ? 'ready' : 'building';
    const { lastInsertRowid } = sql(INSERT_INDEX).run(
      ...[collection.id, name, fields, isUnique, state, createdAtMs],
    );
    const row: IndexRow = {
      id: Number(lastInsertRowid),
      collection: collection.id,
      ...{ name, fields, is_unique: isUnique, state, created_at: createdAtMs },
      ...{ documents_done: 0, build_cursor: null, failure: '' },
    };
    collection.indexes = [...collection.indexes, liveIndex(row)];
    return row;
  }

  return {
    find: (name) => live.get(name),
    all: () => live.values(),
    edit(collection) {
      touch(collection.name);
      return collection;
    },
    create: (name, settings, at) =>
      insert(
        {
          ...{ name, uid: randomUUID(), revision: 1, rules: settings.rules },
          documents_max: settings.documentsMax ?? null,
          ...{ created_at: at.ms, last_put_at: at.ms },
        },
        at.sequence,
      ),
    drop: retire,
    clear(collection, sequence) {
      retire(collection, sequence);
      const next = insert(rowOf(collection), sequence);
      for (const { row } of collection.indexes) {
        const { name, fields, is_unique: isUnique, created_at: createdAtMs } = row;
        insertIndex(next, { name, fields, isUnique, createdAtMs });
      }
      return next;
    },
    addIndex(collection, spec, nowMs) {
      if (collection.indexes.length >= INDEXES_MAX) throw tooManyIndexes(collection.name);
      touch(collection.name);
      collection.revision += 1;
      return insertIndex(collection, {
        name: spec.name,
        fields: JSON.stringify(spec.fields),
        isUnique: spec.unique ? 1 : 0,
        createdAtMs: nowMs,
      });
    },
    dropIndex(collection, index) {
      touch(collection.name);
      collection.revision += 1;
      collection.indexes = collection.indexes.filter((other) => other !== index);
      sql('DELETE FROM idx WHERE id = ?').run(index.row.id);
      sql('INSERT INTO retired_idx (id) VALUES (?)').run(index.row.id);
    },
    saveIndex(collection, row) {
      touch(collection.name);
      sql(SAVE_INDEX).run(row.state, row.documents_done, row.build_cursor, row.failure, row.id);
      collection.indexes = collection.indexes.map((index) =>
        index.row.id === row.id ? { ...index, row } : index,
      );
    },
    begin() {
      before = new Map();
    },
    rollback() {
      for (const [name, collection] of before ?? []) {
        if (collection === undefined) live.delete(name);
        else live.set(name, collection);
      }
      before = undefined;
    },
    save() {
      before = undefined;
      for (const name of changed) {
        const collection = live.get(name);
        if (collection !== undefined) saveCollection(sql, collection);
      }
    },
    noteWrite(collection, key) {
      written.push({ collection: collection.name, key });
    },
    takeChanges() {
      const changes: CatalogChanges = {
        collections: [...changed].map((name) => changeOf(name, live.get(name))),
        written: hasRetired ? 'all' : written,
      };
      changed.clear();
      written = [];
      hasRetired = false;
      return changes;
    },
    reload() {
      for (const name of live.keys()) changed.add(name);
      live = loadCollections(sql);
      for (const name of live.keys()) changed.add(name);
      hasRetired = true;
      before = undefined;
    },
  };
}

interface NewIndex {
  readonly name: string;
  readonly fields: string;
  readonly isUnique: number;
  readonly createdAtMs: number;
}

function loadCollections(sql: (text: string) => Statement): Map<string, LiveCollection> {
  const rows = sql(SELECT_COLLECTIONS).all() as CollectionRow[];
  const indexes = sql('SELECT * FROM idx WHERE collection = ? ORDER BY id');
  return new Map(
    rows.map((row) => [row.name, liveCollection(row, indexes.all(row.id) as IndexRow[])]),
  );
}

function liveCollection(row: CollectionRow, indexes: readonly IndexRow[]): LiveCollection {
  return {
    ...{ id: row.id, name: row.name, uid: row.uid, revision: row.revision },
    ...{ documentsMax: row.documents_max, rules: row.rules },
    ...{ documents: row.documents, bytes: row.bytes },
    ...{ createdAtMs: row.created_at, lastPutAtMs: row.last_put_at },
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
  };
}

function changeOf(name: string, collection: LiveCollection | undefined): CollectionChange {
  return {
    name,
    row: collection && rowOf(collection),
    indexes: collection?.indexes.map(({ row }) => row) ?? [],
  };
}

function saveCollection(sql: (text: string) => Statement, collection: LiveCollection): void {
  const { revision, documentsMax, rules, documents, bytes, lastPutAtMs, id } = collection;
  sql(SAVE_COLLECTION).run(revision, documentsMax, rules, documents, bytes, lastPutAtMs, id);
}

function tooManyIndexes(collection: string): DomainError {
  const limit = INDEXES_MAX.toString();
  return new DomainError(
    'ARGUMENT_INVALID',
    `collection '${collection}' has ${limit} indexes already, the most there can be; drop one first`,
    { metadata: { collection, limit } },
  );
}
