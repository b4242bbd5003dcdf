/**
 * The rows that one group of commits touches, held in memory while it is decided. What was loaded is as
 * the database had it after the clock was locked; what is changed is written at the end, all at once.
 * What is asked for and was not loaded is a Gap: it is loaded, and the transaction is decided again. Who
 * holds a unique value is guessed to be nobody until the transaction is decided, so that all values it asks
 * for are loaded at once and not each after another decision.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { RequestIdentity } from '../engine.ts';
import type { CollectionRow, DocumentRow, IndexRow, LogRow } from '../commit/rows.ts';
import type { AnswerStore, CommitStore, Head, HeadRow } from '../commit/store.ts';

/** A value of a unique index. */
export interface UniqueValue {
  readonly index: number;
  readonly value: Buffer;
}

/** Documents that have one, as the database has it. */
export interface FoundHolders extends UniqueValue {
  readonly keys: readonly string[];
}

/** What is missing from a working set. */
export type Missing =
  | { readonly kind: 'head'; readonly collection: number; readonly key: string }
  /** The documents of a collection that were created first. */
  | { readonly kind: 'oldest'; readonly collection: number; readonly limit: number };

/** Thrown where a row is needed that was not loaded, and at the end of what was decided by a guess. */
export class Gap extends Error {
  override readonly name = 'Gap';
  readonly missing: Missing | undefined;

  constructor(missing?: Missing) {
    super(`a working set lacks ${missing?.kind ?? 'what was guessed'}`);
    this.missing = missing;
  }
}

/** A collection that came into being or changed. */
export interface ChangedCollection {
  readonly row: CollectionRow;
  /** Zero when it was there before. */
  readonly born: number;
  readonly retired: number | null;
}

/** An entry of an index that came or went. */
export interface ChangedEntry {
  readonly index: number;
  readonly value: Buffer;
  readonly key: string;
  readonly isThere: boolean;
}

/** An answer to be remembered. */
export interface NewAnswer extends RequestIdentity {
  readonly answer: string;
  readonly at: number;
}

/** What a group writes. */
export interface Changes {
  readonly log: LogRow[];
  readonly heads: Map<string, HeadRow>;
  readonly entries: Map<string, ChangedEntry>;
  readonly collections: Map<number, ChangedCollection>;
  readonly indexes: Map<number, IndexRow>;
  readonly deletedIndexes: Set<number>;
  readonly answers: NewAnswer[];
}

function createChanges(): Changes {
  return {
    ...{ log: [], heads: new Map(), entries: new Map(), collections: new Map() },
    ...{ indexes: new Map(), deletedIndexes: new Set(), answers: [] },
  };
}

/** What is known of the oldest documents of a collection. */
interface Oldest {
  readonly keys: readonly { readonly key: string; readonly created_seq: number }[];
  /** There are no others. */
  readonly isWhole: boolean;
}

/** Longest entry of an index that PostgreSQL takes, along with the longest key, in bytes. */
export const ENTRY_BYTES_MAX = 2000;

/** Rows that a group of commits works on. */
export class WorkingSet implements CommitStore {
  readonly #collections: { readonly row: CollectionRow; readonly indexes: IndexRow[] }[] = [];
  readonly #heads = new Map<string, HeadRow & Pick<Head, 'version' | 'created_at' | 'bytes'>>();
  readonly #absent = new Set<string>();
  readonly #documents = new Map<number, DocumentRow>();
  readonly #answers = new Map<string, { readonly fingerprint: string; readonly answer: string }>();
  readonly #holders = new Map<string, ReadonlySet<string>>();
  readonly #oldest = new Map<number, Oldest>();
  readonly #guessed = new Map<string, UniqueValue>();
  #undo: (() => void)[] = [];

  /** What is to be written. */
  readonly changes: Changes = createChanges();
  historyBytes: number;
  /** The last id of a collection or an index. */
  ids: number;

  constructor(from: { readonly historyBytes: number; readonly ids: number }) {
    this.historyBytes = from.historyBytes;
    this.ids = from.ids;
  }

  readonly answers: AnswerStore = {
    find: (identity) => this.#answers.get(answerName(identity)),
    remember: (identity, answer, at) => {
      const { fingerprint } = identity;
      this.#set(this.#answers, answerName(identity), { fingerprint, answer });
      this.#push(this.changes.answers, { ...identity, answer, at });
    },
  };

  // What was found in the database.

  addCollection(row: CollectionRow, indexes: readonly IndexRow[]): void {
    this.#collections.push({ row, indexes: [...indexes] });
  }

  addAnswer(
    row: Pick<RequestIdentity, 'principal' | 'id' | 'fingerprint'> & { answer: string },
  ): void {
    this.#answers.set(answerName(row), row);
  }

  /** `found` is undefined when there never was such a document. */
  addHead(at: { collection: number; key: string }, found: FoundHead | undefined): void {
    const name = headName(at.collection, at.key);
    if (this.#heads.has(name)) return;
    if (found === undefined) {
      this.#absent.add(name);
      return;
    }
    const { seq, live, created_seq, expires_at, version, created_at, bytes, ts, body } = found;
    const { collection, key } = at;
    const row = { collection, key, seq, live, created_seq, expires_at };
    this.#heads.set(name, { ...row, version, created_at, bytes });
    if (body === null) return;
    this.#documents.set(seq, { key, seq, version, created_seq, created_at, ts, expires_at, body });
  }

  addHolders(found: readonly FoundHolders[]): void {
    const held = new Map(
      found.map(({ index, value, keys }) => [entryName(index, value), new Set(keys)]),
    );
    // What this group has changed already is not in the database.
    for (const { index, value, key, isThere } of this.changes.entries.values()) {
      const keys = held.get(entryName(index, value));
      if (isThere) keys?.add(key);
      else keys?.delete(key);
    }
    for (const [name, keys] of held) this.#holders.set(name, keys);
  }

  addOldest(collection: number, oldest: Oldest): void {
    this.#oldest.set(collection, oldest);
  }

  // The CommitStore.

  insertEntry(row: LogRow): void {
    this.#push(this.changes.log, row);
    if (row.body === null) return;
    this.#set(this.#documents, row.seq, { ...row, body: row.body });
  }

  saveHistoryBytes(bytes: number): void {
    this.historyBytes = bytes;
  }

  loadCollections(): readonly { readonly row: CollectionRow; readonly indexes: IndexRow[] }[] {
    return this.#collections;
  }

  insertCollection(row: Omit<CollectionRow, 'id'>, born: number): number {
    const id = this.#nextId();
    this.#set(this.changes.collections, id, { row: { ...row, id }, born, retired: null });
    return id;
  }

  saveCollection(row: CollectionRow): void {
    const changed = this.changes.collections.get(row.id);
    const { born = 0, retired = null } = changed ?? {};
    this.#set(this.changes.collections, row.id, { row, born, retired });
  }

  retireCollection(id: number, sequence: number): void {
    const changed = this.changes.collections.get(id);
    if (changed === undefined) throw new Error('a collection is saved before it is retired');
    this.#set(this.changes.collections, id, { ...changed, retired: sequence });
    const known = this.#collections.flatMap(({ indexes }) => indexes);
    for (const index of [...known, ...this.changes.indexes.values()]) {
      if (index.collection === id) this.deleteIndex(index.id);
    }
  }

  insertIndex(row: Omit<IndexRow, 'id'>): number {
    const id = this.#nextId();
    this.#set(this.changes.indexes, id, { ...row, id });
    return id;
  }

  saveIndex(row: IndexRow): void {
    this.#set(this.changes.indexes, row.id, row);
  }

  deleteIndex(id: number): void {
    if (this.changes.deletedIndexes.has(id)) return;
    this.changes.deletedIndexes.add(id);
    this.#undo.push(() => this.changes.deletedIndexes.delete(id));
  }

  head(collection: number, key: string): Head | undefined {
    const name = headName(collection, key);
    const found = this.#heads.get(name);
    if (found !== undefined || this.#absent.has(name)) return found;
    // An incarnation that this group made has what this group put into it, and nothing else.
    if ((this.changes.collections.get(collection)?.born ?? 0) > 0) return undefined;
    throw new Gap({ kind: 'head', collection, key });
  }

  saveHead(row: HeadRow): void {
    const name = headName(row.collection, row.key);
    const written = this.changes.log.at(-1);
    if (written?.seq !== row.seq) throw new Error('a head follows its log entry');
    const { version, created_at, body } = written;
    const bytes = body === null ? null : Buffer.byteLength(body);
    this.#set(this.#heads, name, { ...row, version, created_at, bytes });
    this.#set(this.changes.heads, name, row);
  }

  document(sequence: number): DocumentRow {
    const found = this.#documents.get(sequence);
    if (found === undefined) throw new Error('a document is loaded along with its head');
    return found;
  }

  oldestKeys(collection: number, limit: number): readonly string[] {
    const own = [...this.changes.heads.values()].filter((row) => row.collection === collection);
    const isNew = (this.changes.collections.get(collection)?.born ?? 0) > 0;
    const oldest = this.#oldest.get(collection) ?? (isNew ? NOTHING : undefined);
    // Those that this group touched may have gone, or have come again later.
    const needed = limit + own.length;
    if (oldest === undefined || (!oldest.isWhole && oldest.keys.length < needed)) {
      throw new Gap({ kind: 'oldest', collection, limit: needed });
    }
    const touched = new Set(own.map(({ key }) => key));
    const rest = oldest.keys.filter(({ key }) => !touched.has(key));
    return [...rest, ...own.filter(({ live }) => live === 1)]
      .sort((a, b) => a.created_seq - b.created_seq)
      .slice(0, limit)
      .map(({ key }) => key);
  }

  addEntry(index: number, value: Buffer, key: string): void {
    if (value.length > ENTRY_BYTES_MAX) throw tooLong(value.length, key);
    this.#setEntry({ index, value, key, isThere: true });
  }

  removeEntry(index: number, value: Buffer, key: string): void {
    this.#setEntry({ index, value, key, isThere: false });
  }

  otherHolders(index: number, value: Buffer, key: string): readonly string[] {
    const name = entryName(index, value);
    const held = this.#holders.get(name);
    if (held === undefined) {
      this.#guessed.set(name, { index, value });
      return [];
    }
    return [...held].filter((holder) => holder !== key).slice(0, 2);
  }

  begin(): void {
    this.#undo = [];
  }

  release(): void {
    if (this.#guessed.size > 0) throw new Gap();
    this.#undo = [];
  }

  /** What was guessed since the last time; whatever was decided by it has to be decided again. */
  takeGuessed(): readonly UniqueValue[] {
    const guessed = [...this.#guessed.values()];
    this.#guessed.clear();
    return guessed;
  }

  rollback(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.#undo = [];
  }

  #nextId(): number {
    this.ids += 1;
    this.#undo.push(() => {
      this.ids -= 1;
    });
    return this.ids;
  }

  #setEntry(entry: ChangedEntry): void {
    const place = entryName(entry.index, entry.value);
    this.#set(this.changes.entries, `${place} ${entry.key}`, entry);
    const held = this.#holders.get(place);
    if (held === undefined) return;
    const next = new Set(held);
    if (entry.isThere) next.add(entry.key);
    else next.delete(entry.key);
    this.#set(this.#holders, place, next);
  }

  #set<K, V>(map: Map<K, V>, key: K, value: V): void {
    const had = map.has(key);
    const before = map.get(key);
    map.set(key, value);
    this.#undo.push(() => {
      if (had) map.set(key, before as V);
      else map.delete(key);
    });
  }

  #push<T>(list: T[], item: T): void {
    list.push(item);
    this.#undo.push(() => list.pop());
  }
}

/** A head as the database has it, with the document when it is needed. */
export interface FoundHead extends Head {
  readonly ts: number;
  readonly body: string | null;
}

const NOTHING: Oldest = { keys: [], isWhole: true };

function headName(collection: number, key: string): string {
  return `${collection.toString()} ${key}`;
}

function entryName(index: number, value: Buffer): string {
  return `${index.toString()} ${value.toString('base64')}`;
}

function answerName({ principal, id }: Pick<RequestIdentity, 'principal' | 'id'>): string {
  return JSON.stringify([principal, id]);
}

function tooLong(bytes: number, key: string): DomainError {
  const limit = ENTRY_BYTES_MAX.toString();
  return new DomainError(
    'ARGUMENT_INVALID',
    `the indexed values of document '${key}' take ${bytes.toString()} bytes together; on PostgreSQL the limit is ${limit}`,
    { metadata: { key, limit } },
  );
}
