/**
 * Removes what only states below the floor need, in slices. Entries are passed in order: what an entry at
 * or below the floor replaced is needed by no state at or above it, and neither is a deletion itself.
 * The newest version of a document always stays, however old it is.
 */
import type { Sql } from './database.ts';
import { readFloor, saveFloor } from './floor.ts';
import type { LogWriter } from '../commit/log-writer.ts';
import { ENTRY_KIND, type PassedRow } from '../commit/rows.ts';

const SLICE = 500;

const NEXT_ENTRIES = `SELECT seq, kind, collection, key, previous FROM ver
  WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`;
// Of entries about collections the body is not a document, and was never counted.
const REMOVE = `DELETE FROM ver WHERE seq = ?
  RETURNING CASE kind WHEN 1 THEN octet_length(body) END AS bytes`;
const REMOVE_HEAD = 'DELETE FROM head WHERE collection = ? AND key = ? AND seq = ?';
const RETIRED = 'SELECT id FROM collection WHERE retired <= ? LIMIT 1';
const HEADS = 'SELECT key, seq FROM head WHERE collection = ? LIMIT ?';

/** Does one slice inside an open transaction; false when nothing is left to do. */
export function pruneSlice(sql: Sql, log: LogWriter): boolean {
  const floor = readFloor(sql);
  if (floor.prunedTo < floor.sequence) {
    const rows = sql(NEXT_ENTRIES).all(floor.prunedTo, floor.sequence, SLICE) as PassedRow[];
    for (const row of rows) passEntry(sql, log, row);
    const prunedTo = rows.length < SLICE ? floor.sequence : (rows.at(-1)?.seq ?? floor.sequence);
    saveFloor(sql, { ...floor, prunedTo });
    return true;
  }
  const retired = sql(RETIRED).pluck().get(floor.sequence) as number | undefined;
  if (retired === undefined) return false;
  forgetCollection(sql, log, retired);
  return true;
}

/** What may still be the newest of a document, or of the settings of a collection. */
const KEPT: readonly number[] = [
  ...[ENTRY_KIND.put, ENTRY_KIND.createCollection, ENTRY_KIND.configureCollection],
];

function passEntry(sql: Sql, log: LogWriter, row: PassedRow): void {
  const { seq, kind, collection, key, previous } = row;
  if (previous !== 0) removeEntry(sql, log, previous);
  if (KEPT.includes(kind)) return;
  if (kind === ENTRY_KIND.delete) sql(REMOVE_HEAD).run(collection, key, seq);
  removeEntry(sql, log, seq);
}

/** What a cleared or dropped incarnation held to its end. */
function forgetCollection(sql: Sql, log: LogWriter, collection: number): void {
  const heads = sql(HEADS).all(collection, SLICE) as {
    readonly key: string;
    readonly seq: number;
  }[];
  for (const { key, seq } of heads) {
    removeEntry(sql, log, seq);
    sql(REMOVE_HEAD).run(collection, key, seq);
  }
  if (heads.length < SLICE) sql('DELETE FROM collection WHERE id = ?').run(collection);
}

function removeEntry(sql: Sql, log: LogWriter, sequence: number): void {
  const removed = sql(REMOVE).get(sequence) as { readonly bytes: number | null } | undefined;
  log.addHistory(-(removed?.bytes ?? 0));
}
