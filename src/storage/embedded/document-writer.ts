import { DomainError } from '../../errors/domain-error.ts';
import { createCandidate } from '../query/candidate.ts';
import type { IndexEntry } from '../query/encode.ts';
import { toSequence, toVersion, type Precondition, type RemovalCause } from '../types.ts';
import type { CommitterParts } from './commit.ts';
import type { Operation, SeenDocument, WrittenDocument } from './protocol.ts';
import { CAUSE, ENTRY_KIND } from './schema.ts';
import type { LiveCollection, LiveIndex } from './writer-catalog.ts';

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

/** The newest row of a key, deletes included. */
interface Head {
  readonly seq: number;
  readonly live: number;
  readonly created_seq: number;
  readonly expires_at: number | null;
  readonly version: number;
  readonly created_at: number;
  readonly bytes: number | null;
}

interface UniqueValue {
  readonly collection: LiveCollection;
  readonly index: LiveIndex;
  readonly value: Buffer;
  readonly key: string;
}

const SELECT_HEAD = `SELECT h.seq, h.live, h.created_seq, h.expires_at,
    v.version, v.created_at, octet_length(v.body) AS bytes
  FROM head h JOIN ver v ON v.seq = h.seq WHERE h.collection = ? AND h.key = ?`;
const SAVE_HEAD = `INSERT OR REPLACE INTO head (collection, key, seq, live, created_seq, expires_at)
  VALUES (?, ?, ?, ?, ?, ?)`;
const INSERT_ENTRY = 'INSERT OR IGNORE INTO entry (idx, value, key) VALUES (?, ?, ?)';
const DELETE_ENTRY = 'DELETE FROM entry WHERE idx = ? AND value = ? AND key = ?';
const OTHER_HOLDERS = 'SELECT key FROM entry WHERE idx = ? AND value = ? AND key <> ? LIMIT 2';

/** Creates the document half of a committer. */
export function createDocumentWriter({ sql, catalog, log }: CommitterParts): DocumentWriter {
  let uniqueValues: UniqueValue[] = [];

  function headOf(collection: LiveCollection, key: string): Head | undefined {
    return sql(SELECT_HEAD).get(collection.id, key) as Head | undefined;
  }

  function isExpired(head: Head): boolean {
    return head.expires_at !== null && head.expires_at <= log.nowMs();
  }

  function exists(head: Head | undefined): head is Head {
    return head?.live === 1 && !isExpired(head);
  }

  function collectionFor(name: string): LiveCollection {
    const found = catalog.find(name);
    if (found !== undefined) return catalog.edit(found);
    const settings = { documentsMax: undefined, rules: '{}' };
    const at = { ms: log.timestampMs(), sequence: log.next() };
    const made = catalog.create(name, settings, at);
    const body = JSON.stringify(settings);
    log.append({ kind: ENTRY_KIND.createCollection, collection: made.id, body });
    return made;
  }

  function entriesFor(
    collection: LiveCollection,
    key: string,
    body: string,
    head: EntryState,
  ): readonly IndexEntry[] {
    const candidate = createCandidate({
      collection: collection.name,
      key,
      version: toVersion(head.version),
      sequence: toSequence(head.seq),
      createdSequence: toSequence(head.created_seq),
      createdAtMs: head.created_at,
      modifiedAtMs: head.ts,
      expiresAtMs: head.expires_at ?? undefined,
      body,
    });
    return collection.indexes.map((index) => index.encode(candidate));
  }

  function storedEntries(
    collection: LiveCollection,
    key: string,
    head: Head,
  ): readonly IndexEntry[] {
    if (collection.indexes.length === 0) return [];
    const stored = sql('SELECT body, ts FROM ver WHERE seq = ?').get(head.seq) as {
      readonly body: string;
      readonly ts: number;
    };
    return entriesFor(collection, key, stored.body, { ...head, ts: stored.ts });
  }

  function dropEntries(
    collection: LiveCollection,
    key: string,
    entries: readonly IndexEntry[],
  ): void {
    collection.indexes.forEach((index, at) => {
      const entry = entries[at];
      if (entry !== undefined) sql(DELETE_ENTRY).run(index.row.id, entry.key, key);
    });
  }

  function removeHead(
    collection: LiveCollection,
    key: string,
    { head, cause }: { head: Head; cause: RemovalCause | undefined },
  ): number {
    dropEntries(collection, key, storedEntries(collection, key, head));
    const sequence = log.append({
      ...{ kind: ENTRY_KIND.delete, collection: collection.id, key, previous: head.seq },
      ...{ createdSequence: head.created_seq, createdAtMs: head.created_at },
      cause: cause === undefined ? 0 : CAUSE[cause],
    });
    sql(SAVE_HEAD).run(collection.id, key, sequence, 0, head.created_seq, null);
    catalog.noteWrite(collection, key);
    collection.documents -= 1;
    collection.bytes -= head.bytes ?? 0;
    return sequence;
  }

  function saveEntries(collection: LiveCollection, key: string, change: EntryChange): void {
    collection.indexes.forEach((index, at) => {
      const entry = change.entries[at];
      if (entry === undefined) return;
      const old = change.before[at];
      if (old?.key.equals(entry.key) === true) return;
      if (old !== undefined) sql(DELETE_ENTRY).run(index.row.id, old.key, key);
      sql(INSERT_ENTRY).run(index.row.id, entry.key, key);
      const isGuarded = index.row.is_unique === 1 && index.row.state !== 'failed';
      if (isGuarded && !entry.isExempt) {
        uniqueValues.push({ collection, index, value: entry.key, key });
      }
    });
  }

  return {
    begin() {
      uniqueValues = [];
    },
    put(operation) {
      const { key, body } = operation;
      const collection = collectionFor(operation.collection);
      let head = headOf(collection, key);
      if (head?.live === 1 && isExpired(head)) {
        removeHead(collection, key, { head, cause: 'expired' });
        head = headOf(collection, key);
      }
      const current = exists(head) ? head : undefined;
      check(operation, current);
      const version = (current?.version ?? 0) + 1;
      const sequence = log.next();
      const createdSequence = current?.created_seq ?? sequence;
      const createdAtMs = current?.created_at ?? log.timestampMs();
      const expiresAtMs = operation.expiresAtMs;
      const before = current === undefined ? [] : storedEntries(collection, key, current);
      log.append({
        ...{ kind: ENTRY_KIND.put, collection: collection.id, key, version, body },
        ...{ previous: head?.seq ?? 0, createdSequence, createdAtMs, expiresAtMs },
      });
      const expiry = expiresAtMs ?? null;
      sql(SAVE_HEAD).run(collection.id, key, sequence, 1, createdSequence, expiry);
      if (collection.indexes.length > 0) {
        const state = {
          ...{ version, seq: sequence, created_seq: createdSequence, created_at: createdAtMs },
          ...{ ts: log.timestampMs(), expires_at: expiry },
        };
        saveEntries(collection, key, {
          before,
          entries: entriesFor(collection, key, body, state),
        });
      }
      catalog.noteWrite(collection, key);
      collection.documents += current === undefined ? 1 : 0;
      collection.bytes += Buffer.byteLength(body) - (current?.bytes ?? 0);
      collection.lastPutAtMs = log.timestampMs();
      return {
        ...{ collection: collection.name, key, kind: 'put', created: current === undefined },
        ...{ existed: true, version, sequence, createdSequence, createdAtMs },
      };
    },
    delete(operation) {
      const { key } = operation;
      const found = catalog.find(operation.collection);
      const head = found && headOf(found, key);
      const current = exists(head) ? head : undefined;
      check(operation, current);
      const isLive = found !== undefined && head?.live === 1;
      // Of an expired document only the engine's own sweep leaves a trace of having done it.
      const cause = current === undefined ? 'expired' : operation.cause;
      const sequence = isLive ? removeHead(catalog.edit(found), key, { head, cause }) : 0;
      return {
        ...{ collection: operation.collection, key, kind: 'delete', created: false },
        ...{ existed: current !== undefined, version: 0 },
        sequence: current === undefined ? 0 : sequence,
        createdSequence: head?.created_seq ?? 0,
        createdAtMs: head?.created_at ?? 0,
      };
    },
    require(collection, key, precondition) {
      const found = catalog.find(collection);
      const head = found && headOf(found, key);
      check({ collection, key, precondition }, exists(head) ? head : undefined);
    },
    remove(name, key, cause) {
      const collection = catalog.find(name);
      const head = collection && headOf(collection, key);
      if (collection === undefined || head?.live !== 1) return;
      removeHead(catalog.edit(collection), key, { head, cause });
    },
    sequenceOf({ collection, key }) {
      const found = catalog.find(collection);
      const head = found && headOf(found, key);
      return exists(head) ? head.seq : 0;
    },
    checkUnique() {
      for (const { collection, index, value, key } of uniqueValues) {
        const holders = sql(OTHER_HOLDERS).pluck().all(index.row.id, value, key);
        for (const holder of holders.map(String)) {
          const head = headOf(collection, holder);
          if (exists(head)) throw uniqueViolation(collection.name, index.row.name, key);
          if (head !== undefined) removeHead(collection, holder, { head, cause: 'expired' });
        }
      }
      uniqueValues = [];
    },
  };
}

/** What an index entry can depend on besides the body. */
interface EntryState extends Pick<
  Head,
  'seq' | 'created_seq' | 'expires_at' | 'version' | 'created_at'
> {
  readonly ts: number;
}

interface EntryChange {
  readonly before: readonly IndexEntry[];
  readonly entries: readonly IndexEntry[];
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
    throw precondition.exists
      ? new DomainError(
          'DOCUMENT_NOT_FOUND',
          `document '${key}' does not exist in collection '${collection}'`,
          { metadata: { collection, key } },
        )
      : new DomainError(
          'DOCUMENT_EXISTS',
          `document '${key}' exists in collection '${collection}' already`,
          { metadata: { collection, key } },
        );
  }
  const found = current?.version ?? 0;
  const expected = precondition.version.toString();
  if (found.toString() === expected) return;
  throw new DomainError(
    'VERSION_MISMATCH',
    found === 0
      ? `document '${key}' in collection '${collection}' does not exist, version ${expected} was expected; read it again`
      : `document '${key}' in collection '${collection}' has version ${found.toString()}, not ${expected}; read it again`,
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
