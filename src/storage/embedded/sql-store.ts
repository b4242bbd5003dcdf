import {
  DOCUMENT_COLUMNS,
  type CollectionRow,
  type DocumentRow,
  type IndexRow,
  type LogRow,
} from '../commit/rows.ts';
import type { AnswerStore, CommitStore, Head, HeadRow } from '../commit/store.ts';
import type { Sql } from './database.ts';
import { saveHistoryBytes } from './floor.ts';

const SELECT_COLLECTIONS = `SELECT id, name, uid, revision, documents_max, rules, documents, bytes, created_at, last_put_at, settings_seq
  FROM collection WHERE retired IS NULL`;
const INSERT_COLLECTION = `INSERT INTO collection
  (name, uid, revision, documents_max, rules, documents, bytes, created_at, last_put_at, settings_seq, born)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const SAVE_COLLECTION = `UPDATE collection
  SET revision = ?, documents_max = ?, rules = ?, documents = ?, bytes = ?, last_put_at = ?, settings_seq = ? WHERE id = ?`;
const INSERT_INDEX = `INSERT INTO idx
  (collection, name, fields, is_unique, state, documents_done, built_to, failure, created_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const SAVE_INDEX =
  'UPDATE idx SET state = ?, documents_done = ?, built_to = ?, failure = ? WHERE id = ?';
const INSERT_ENTRY = `INSERT INTO ver
  (seq, ts, first, kind, collection, key, version, previous, created_seq, created_at, expires_at, cause, body)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const SELECT_HEAD = `SELECT h.seq, h.live, h.created_seq, h.expires_at,
    v.version, v.created_at, octet_length(v.body) AS bytes
  FROM head h JOIN ver v ON v.seq = h.seq WHERE h.collection = ? AND h.key = ?`;
const SAVE_HEAD = `INSERT OR REPLACE INTO head (collection, key, seq, live, created_seq, expires_at)
  VALUES (?, ?, ?, ?, ?, ?)`;
const SELECT_DOCUMENT = `SELECT ${DOCUMENT_COLUMNS} FROM ver v WHERE v.seq = ?`;
const OLDEST_KEYS = `SELECT key FROM head INDEXED BY head_created
  WHERE collection = ? AND live = 1 ORDER BY created_seq LIMIT ?`;
const ADD_ENTRY = 'INSERT OR IGNORE INTO entry (idx, value, key) VALUES (?, ?, ?)';
const REMOVE_ENTRY = 'DELETE FROM entry WHERE idx = ? AND value = ? AND key = ?';
const OTHER_HOLDERS = 'SELECT key FROM entry WHERE idx = ? AND value = ? AND key <> ? LIMIT 2';

/** Keeps what commits decide in the tables of the writer's connection, as it is decided. */
export function createSqlStore(sql: Sql): CommitStore {
  return {
    ...createLogTables(sql),
    ...createDocumentTables(sql),
    answers: createAnswers(sql),
    begin() {
      sql('SAVEPOINT one').run();
    },
    release() {
      sql('RELEASE one').run();
    },
    rollback() {
      // After some failures SQLite has rolled back everything; then the whole group fails.
      sql('ROLLBACK TO one').run();
      sql('RELEASE one').run();
    },
  };
}

type LogTables = Omit<
  CommitStore,
  keyof DocumentTables | 'answers' | 'begin' | 'release' | 'rollback'
>;
type DocumentTables = Pick<
  CommitStore,
  'head' | 'saveHead' | 'document' | 'oldestKeys' | 'addEntry' | 'removeEntry' | 'otherHolders'
>;

function createLogTables(sql: Sql): LogTables {
  return {
    insertEntry(row: LogRow) {
      sql(INSERT_ENTRY).run(
        ...[row.seq, row.ts, row.first, row.kind, row.collection, row.key, row.version],
        ...[row.previous, row.created_seq, row.created_at, row.expires_at, row.cause, row.body],
      );
    },
    saveHistoryBytes(bytes) {
      saveHistoryBytes(sql, bytes);
    },
    loadCollections() {
      const indexes = sql('SELECT * FROM idx WHERE collection = ? ORDER BY id');
      const rows = sql(SELECT_COLLECTIONS).all() as CollectionRow[];
      return rows.map((row) => ({ row, indexes: indexes.all(row.id) as IndexRow[] }));
    },
    insertCollection(row, born) {
      const { lastInsertRowid } = sql(INSERT_COLLECTION).run(
        ...[row.name, row.uid, row.revision, row.documents_max, row.rules, row.documents],
        ...[row.bytes, row.created_at, row.last_put_at, row.settings_seq, born],
      );
      return Number(lastInsertRowid);
    },
    saveCollection(row) {
      sql(SAVE_COLLECTION).run(
        ...[row.revision, row.documents_max, row.rules, row.documents, row.bytes],
        ...[row.last_put_at, row.settings_seq, row.id],
      );
    },
    retireCollection(id, sequence) {
      sql('UPDATE collection SET retired = ? WHERE id = ?').run(sequence, id);
      sql('INSERT INTO retired_idx (id) SELECT id FROM idx WHERE collection = ?').run(id);
      sql('DELETE FROM idx WHERE collection = ?').run(id);
    },
    insertIndex(row) {
      const { lastInsertRowid } = sql(INSERT_INDEX).run(
        ...[row.collection, row.name, row.fields, row.is_unique, row.state, row.documents_done],
        ...[row.built_to, row.failure, row.created_at],
      );
      return Number(lastInsertRowid);
    },
    saveIndex({ state, documents_done: done, built_to: builtTo, failure, id }) {
      sql(SAVE_INDEX).run(state, done, builtTo, failure, id);
    },
    deleteIndex(id) {
      sql('DELETE FROM idx WHERE id = ?').run(id);
      sql('INSERT INTO retired_idx (id) VALUES (?)').run(id);
    },
  };
}

function createDocumentTables(sql: Sql): DocumentTables {
  return {
    head: (collection, key) => sql(SELECT_HEAD).get(collection, key) as Head | undefined,
    saveHead({ collection, key, seq, live, created_seq, expires_at }: HeadRow) {
      sql(SAVE_HEAD).run(collection, key, seq, live, created_seq, expires_at);
    },
    document: (sequence) => sql(SELECT_DOCUMENT).get(sequence) as DocumentRow,
    oldestKeys: (collection, limit) => sql(OLDEST_KEYS).pluck().all(collection, limit).map(String),
    addEntry(index, value, key) {
      sql(ADD_ENTRY).run(index, value, key);
    },
    removeEntry(index, value, key) {
      sql(REMOVE_ENTRY).run(index, value, key);
    },
    otherHolders: (index, value, key) =>
      sql(OTHER_HOLDERS).pluck().all(index, value, key).map(String),
  };
}

/** The answers of a connection. */
export function createAnswers(sql: Sql): AnswerStore {
  return {
    find: ({ principal, id }) =>
      sql('SELECT fingerprint, answer FROM request WHERE principal = ? AND id = ?').get(
        ...[principal, id],
      ) as { readonly fingerprint: string; readonly answer: string } | undefined,
    remember({ principal, id, fingerprint }, answer, nowMs) {
      sql(
        'INSERT INTO request (principal, id, fingerprint, at, answer) VALUES (?, ?, ?, ?, ?)',
      ).run(...[principal, id, fingerprint, nowMs, answer]);
    },
  };
}
