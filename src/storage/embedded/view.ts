/**
 * One committed state of the store, as a read transaction sees it: the newest, or one of the past. Both
 * offer the same four things, so that queries do not know which they read.
 */
import { inFuture } from '../commit/refusals.ts';
import type { EncodedRange, Plan } from '../query/plan.ts';
import type { IndexRecord, StoredDocument } from '../types.ts';
import type { Sql } from './database.ts';
import { assertKept, readFloor } from './floor.ts';
import { readEnd } from './log-writer.ts';
import {
  DOCUMENT_COLUMNS,
  documentOf,
  ENTRY_KIND,
  indexOf,
  type DocumentRow,
  type IndexRow,
} from '../commit/rows.ts';
import { scanKeys, walkIndex, walkInsertion } from './walk.ts';

/** A state to read from; valid while its read transaction is open. */
export interface View {
  readonly sequence: number;
  /** The instant at which expiry is judged, in Unix milliseconds. */
  readonly nowMs: number;
  readonly canScanByInsertion: boolean;
  lookup(collection: string, key: string): StoredDocument | undefined;
  indexes(collection: string): readonly IndexRecord[];
  hasEntry(collection: string, index: string, range: EncodedRange): boolean;
  candidates(collection: string, plan: Plan): Iterable<StoredDocument>;
}

/** What is asked of a view. */
export interface ViewOptions {
  readonly atSequence: number | undefined;
  readonly nowMs: number;
}

/**
 * Opens a view; a read transaction must be open. SEQUENCE_IN_FUTURE when the sequence asked for is
 * beyond the last one.
 */
export function openView(sql: Sql, { atSequence, nowMs }: ViewOptions): View {
  const last = readEnd(sql).sequence;
  if (atSequence === undefined) return currentView(sql, { sequence: last, nowMs });
  if (atSequence > last) throw inFuture(atSequence, last);
  assertKept(sql, atSequence);
  return pastView(sql, atSequence);
}

const FIND_LIVE = 'SELECT id FROM collection WHERE name = ? AND retired IS NULL';
const GET_LIVE = `SELECT ${DOCUMENT_COLUMNS} FROM head h CROSS JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.key = ? AND h.live = 1`;
const HAS_ENTRY = 'SELECT 1 FROM entry WHERE idx = ? AND value >= ? LIMIT 1';
const HAS_ENTRY_BELOW = 'SELECT 1 FROM entry WHERE idx = ? AND value >= ? AND value < ? LIMIT 1';

function currentView(sql: Sql, at: { sequence: number; nowMs: number }): View {
  const ids = new Map<string, number | undefined>();

  function idOf(collection: string): number | undefined {
    if (!ids.has(collection)) {
      ids.set(collection, sql(FIND_LIVE).pluck().get(collection) as number | undefined);
    }
    return ids.get(collection);
  }

  function indexRows(collection: string): readonly IndexRow[] {
    return sql('SELECT * FROM idx WHERE collection = ? ORDER BY name').all(
      idOf(collection),
    ) as IndexRow[];
  }

  return {
    ...at,
    canScanByInsertion: true,
    lookup(collection, key) {
      const row = sql(GET_LIVE).get(idOf(collection), key) as DocumentRow | undefined;
      return row && documentOf(collection, row);
    },
    indexes: (collection) => indexRows(collection).map((row) => indexOf(collection, row)),
    hasEntry(collection, index, { lower, upper }) {
      const id = indexRows(collection).find(({ name }) => name === index)?.id;
      const found =
        upper === undefined
          ? sql(HAS_ENTRY).get(id, lower)
          : sql(HAS_ENTRY_BELOW).get(id, lower, upper);
      return found !== undefined;
    },
    *candidates(collection, { access }) {
      const id = idOf(collection);
      if (id === undefined) return;
      for (const row of rowsOf(id, collection, access)) yield documentOf(collection, row);
    },
  };

  function rowsOf(id: number, collection: string, access: Plan['access']): Iterable<DocumentRow> {
    if (access.kind === 'keys') return getRows(id, access.keys);
    if (access.kind === 'scan') {
      return access.by === 'key'
        ? scanKeys(sql, { collection: id, mode: 'live' }, access)
        : walkInsertion(sql, id, access);
    }
    const index = indexRows(collection).find(({ name }) => name === access.index);
    return index === undefined ? [] : walkIndex(sql, { collection: id, index: index.id }, access);
  }

  function* getRows(id: number, keys: readonly string[]): Iterable<DocumentRow> {
    for (const key of keys) {
      const row = sql(GET_LIVE).get(id, key) as DocumentRow | undefined;
      if (row !== undefined) yield row;
    }
  }
}

const FIND_PAST = `SELECT id FROM collection
  WHERE name = ? AND born <= ? AND (retired IS NULL OR retired > ?)`;
const GET_HEAD = 'SELECT seq FROM head WHERE collection = ? AND key = ?';
const GET_VERSION = `SELECT ${DOCUMENT_COLUMNS}, v.kind, v.previous FROM ver v WHERE v.seq = ?`;

interface VersionRow extends DocumentRow {
  readonly kind: number;
  readonly previous: number;
}

/** Follows each key's chain of versions back to the sequence asked for. */
function pastView(sql: Sql, sequence: number): View {
  // Of the floor itself the entry may be gone.
  const floor = readFloor(sql);
  const time = sql('SELECT ts FROM ver WHERE seq = ?').pluck().get(sequence);
  const nowMs = sequence === floor.sequence ? floor.timestampMs : Number(time ?? 0);

  function idOf(collection: string): number | undefined {
    return sql(FIND_PAST).pluck().get(collection, sequence, sequence) as number | undefined;
  }

  function versionAt(head: number): DocumentRow | undefined {
    for (let seq = head; seq !== 0;) {
      const row = sql(GET_VERSION).get(seq) as VersionRow | undefined;
      if (row === undefined) return undefined;
      if (row.seq <= sequence) return row.kind === ENTRY_KIND.put ? row : undefined;
      seq = row.previous;
    }
    return undefined;
  }

  function* rowsOf(id: number, access: Plan['access']): Iterable<DocumentRow> {
    if (access.kind === 'index') return;
    const heads =
      access.kind === 'keys'
        ? access.keys.map((key) => sql(GET_HEAD).pluck().get(id, key) as number | undefined)
        : scanKeys(sql, { collection: id, mode: 'history' }, access);
    for (const head of heads) {
      const seq = typeof head === 'object' ? head.seq : head;
      const row = seq === undefined ? undefined : versionAt(seq);
      if (row !== undefined) yield row;
    }
  }

  return {
    ...{ sequence, nowMs, canScanByInsertion: false },
    lookup(collection, key) {
      const id = idOf(collection);
      const head = id === undefined ? undefined : sql(GET_HEAD).pluck().get(id, key);
      const row = typeof head === 'number' ? versionAt(head) : undefined;
      return row && documentOf(collection, row);
    },
    indexes: () => [],
    hasEntry: () => false,
    *candidates(collection, { access }) {
      const id = idOf(collection);
      if (id === undefined) return;
      for (const row of rowsOf(id, access)) yield documentOf(collection, row);
    },
  };
}
