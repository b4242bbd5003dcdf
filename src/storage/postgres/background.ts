/**
 * Work between commits, in slices of a few milliseconds, each a turn at the log of its own: building
 * indexes, clearing away entries of dropped ones, trimming collections to a lowered bound, forgetting old
 * request ids, removing what lies below the floor. Any node does it; a slice that a crash takes back is
 * done again by another.
 */
import { createCandidate } from '../query/candidate.ts';
import { compileIndex, type IndexEntry } from '../query/encode.ts';
import {
  DOCUMENT_COLUMNS,
  documentOf,
  type CollectionRow,
  type DocumentRow,
  type IndexRow,
} from '../commit/rows.ts';
import type { IndexField } from '../types.ts';
import type { ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { closeBench, complete, openBench } from './group.ts';
import type { Decision, Turn } from './log-turn.ts';
import { pruneSlice } from './prune.ts';
import type { Statement } from './save.ts';
import { IS_LIVE } from './source.ts';
import { ENTRY_BYTES_MAX } from './working-set.ts';

const BUILD_SLICE = 250;
const CLEAR_SLICE = 1000;
const TRIM_SLICE = 1000;
const REMEMBER_MS = 26 * 60 * 60 * 1000;

/** What one slice did to the clock, and what else it writes. */
interface Slice {
  readonly clock: ClockRow;
  readonly statements: readonly Statement[];
}

/** One slice; false when nothing is left to do. */
export function backgroundTurn(nowMs: number): Turn<undefined, boolean> {
  return {
    isSync: false,
    load: () => Promise.resolve(undefined),
    decide: async (connection, { clock }): Promise<Decision<boolean>> => {
      const slice =
        (await build(connection, clock)) ??
        (await clear(connection, clock)) ??
        (await trim(connection, clock, nowMs)) ??
        (await pruneSlice(connection, clock));
      if (slice !== undefined) return { result: true, commit: slice };
      if (!clock.has_work) return { result: false, commit: undefined };
      return { result: false, commit: { clock: { ...clock, has_work: false }, statements: [] } };
    },
  };
}

const FORGET = `DELETE FROM request WHERE (principal, id) IN
  (SELECT principal, id FROM request WHERE at < $1 ORDER BY at LIMIT $2) RETURNING 1`;

/** Forgets some request ids that nobody will repeat any more; true: more may be left. Needs no turn. */
export async function forgetRequests(connection: Connection, nowMs: number): Promise<boolean> {
  const removed = await connection.rows(FORGET, [nowMs - REMEMBER_MS, CLEAR_SLICE]);
  return removed.length === CLEAR_SLICE;
}

type BuildingRow = IndexRow & { readonly collection_name: string };

const BUILDING = `SELECT i.*, c.name AS collection_name
  FROM idx i JOIN collection c ON c.id = i.collection
  WHERE i.state = 'building' AND c.retired IS NULL ORDER BY i.id LIMIT 1`;
const NEXT_DOCUMENTS = `SELECT ${DOCUMENT_COLUMNS} FROM head h JOIN ver v ON v.seq = h.seq
  WHERE h.collection = $1 AND h.key > $2 AND ${IS_LIVE} ORDER BY h.key LIMIT $3`;
const HELD = `SELECT e.value, e.key FROM entry e
  WHERE e.idx = $1 AND e.value = ANY($2::bytea[])`;
const ADD_ENTRIES = `INSERT INTO entry (idx, value, key)
  SELECT $1, * FROM unnest($2::bytea[], $3::text[]) ON CONFLICT DO NOTHING`;
const SAVE_INDEX =
  'UPDATE idx SET state = $2, documents_done = $3, built_to = $4, failure = $5 WHERE id = $1';

async function build(connection: Connection, clock: ClockRow): Promise<Slice | undefined> {
  const [row] = await connection.rows<BuildingRow>(BUILDING);
  if (row === undefined) return undefined;
  const start = row.built_to ?? '';
  const documents = await connection.rows<DocumentRow>(NEXT_DOCUMENTS, [
    ...[row.collection, start, BUILD_SLICE],
  ]);
  // Written by this engine from an IndexSpec.
  const encode = compileIndex(JSON.parse(row.fields) as IndexField[]);
  const entries = documents.map((document) => ({
    key: document.key,
    entry: encode(createCandidate(documentOf(row.collection_name, document))),
  }));
  const failure = findTooLong(entries) || (await findDouble(connection, row, entries));
  if (failure !== '') {
    const values = [row.id, 'failed', row.documents_done, row.built_to, failure];
    return { clock, statements: [{ text: SAVE_INDEX, values }] };
  }
  const state = documents.length < BUILD_SLICE ? 'ready' : 'building';
  const done = row.documents_done + documents.length;
  const builtTo = documents.at(-1)?.key ?? start;
  return {
    clock,
    statements: [
      {
        text: ADD_ENTRIES,
        values: [row.id, entries.map(({ entry }) => entry.key), entries.map(({ key }) => key)],
      },
      { text: SAVE_INDEX, values: [row.id, state, done, builtTo, ''] },
    ],
  };
}

interface BuiltEntry {
  readonly key: string;
  readonly entry: IndexEntry;
}

/** The first document of a slice whose values do not fit, in words; empty when there is none. */
function findTooLong(entries: readonly BuiltEntry[]): string {
  const found = entries.find(({ entry }) => entry.key.length > ENTRY_BYTES_MAX);
  if (found === undefined) return '';
  const [bytes, limit] = [String(found.entry.key.length), String(ENTRY_BYTES_MAX)];
  return `the values of document '${found.key}' take ${bytes} bytes in the index, the limit is ${limit}; shorten them, drop the index and declare it again`;
}

/** The first document of a slice whose value another one holds, in words; empty when there is none. */
async function findDouble(
  connection: Connection,
  { id: index, is_unique: isUnique }: IndexRow,
  entries: readonly BuiltEntry[],
): Promise<string> {
  if (isUnique === 0) return '';
  const guarded = entries.filter(({ entry }) => !entry.isExempt);
  const found = await connection.rows<{ value: Buffer; key: string }>(HELD, [
    index,
    guarded.map(({ entry }) => entry.key),
  ]);
  const holders = new Map<string, string[]>();
  for (const { value, key } of found) holdersOf(holders, value).push(key);
  for (const { key, entry } of guarded) {
    const held = holdersOf(holders, entry.key);
    const other = held.find((holder) => holder !== key);
    if (other !== undefined) {
      return `documents '${other}' and '${key}' hold the same values; change one, drop the index and declare it again`;
    }
    held.push(key);
  }
  return '';
}

function holdersOf(holders: Map<string, string[]>, value: Buffer): string[] {
  const name = value.toString('base64');
  const held = holders.get(name) ?? [];
  holders.set(name, held);
  return held;
}

const CLEAR_ENTRIES = `DELETE FROM entry WHERE (idx, value, key) IN
  (SELECT idx, value, key FROM entry WHERE idx = $1 LIMIT $2) RETURNING 1`;

async function clear(connection: Connection, clock: ClockRow): Promise<Slice | undefined> {
  const [retired] = await connection.rows<{ id: number }>('SELECT id FROM retired_idx LIMIT 1');
  if (retired === undefined) return undefined;
  const removed = await connection.rows(CLEAR_ENTRIES, [retired.id, CLEAR_SLICE]);
  const isDone = removed.length < CLEAR_SLICE;
  const forget = { text: 'DELETE FROM retired_idx WHERE id = $1', values: [retired.id] };
  return { clock, statements: isDone ? [forget] : [] };
}

const OVERFULL = `SELECT * FROM collection
  WHERE retired IS NULL AND documents > documents_max ORDER BY id LIMIT 1`;

async function trim(
  connection: Connection,
  clock: ClockRow,
  nowMs: number,
): Promise<Slice | undefined> {
  const [row] = await connection.rows<CollectionRow>(OVERFULL);
  if (row === undefined) return undefined;
  const indexes = await connection.rows<IndexRow>('SELECT * FROM idx WHERE collection = $1', [
    row.id,
  ]);
  const bench = openBench(clock, {
    nowMs,
    fill: (set) => {
      set.addCollection(row, indexes);
    },
  });
  const { set, catalog, log, committer } = bench;
  const start = log.mark();
  await complete(connection, bench, () => {
    set.begin();
    catalog.begin();
    try {
      committer.trim(TRIM_SLICE);
      set.release();
    } catch (error) {
      set.rollback();
      catalog.rollback();
      log.rewind(start);
      throw error;
    }
  });
  return closeBench(bench, clock);
}
