import { ENTRY_KIND, type PassedRow } from '../commit/rows.ts';
import type { ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';
import type { Statement } from './save.ts';

const SLICE = 500;
/** What may still be the newest of a document, or of the settings of a collection. */
const KEPT: readonly number[] = [
  ...[ENTRY_KIND.put, ENTRY_KIND.createCollection, ENTRY_KIND.configureCollection],
];

const NEXT_ENTRIES = `SELECT seq, kind, collection, key, previous FROM ver
  WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3`;
// Of entries about collections the body is not a document, and was never counted.
const REMOVE = `DELETE FROM ver WHERE seq = ANY($1::bigint[])
  RETURNING CASE kind WHEN 1 THEN octet_length(body) END AS bytes`;
const REMOVE_HEADS = `DELETE FROM head h USING unnest($1::bigint[], $2::text[], $3::bigint[]) AS gone (collection, key, seq)
  WHERE h.collection = gone.collection AND h.key = gone.key AND h.seq = gone.seq`;
const RETIRED = 'SELECT id FROM collection WHERE retired <= $1 ORDER BY id LIMIT 1';
const HEADS = 'SELECT collection, key, seq FROM head WHERE collection = $1 LIMIT $2';

/**
 * Removes what only states below the floor need, as the embedded engine does: entries are passed in
 * order, and what an entry at or below the floor replaced is needed by no state at or above it. Undefined
 * when nothing is left to do.
 */
export async function pruneSlice(
  connection: Connection,
  clock: ClockRow,
): Promise<{ readonly clock: ClockRow; readonly statements: readonly Statement[] } | undefined> {
  if (clock.pruned_to < clock.floor) return await passEntries(connection, clock);
  const [retired] = await connection.rows<{ id: number }>(RETIRED, [clock.floor]);
  if (retired === undefined) return undefined;
  return await forgetCollection(connection, clock, retired.id);
}

async function passEntries(
  connection: Connection,
  clock: ClockRow,
): Promise<{ readonly clock: ClockRow; readonly statements: readonly Statement[] }> {
  const passed = await connection.rows<PassedRow>(NEXT_ENTRIES, [
    ...[clock.pruned_to, clock.floor, SLICE],
  ]);
  const gone = passed.filter(({ kind }) => !KEPT.includes(kind));
  const replaced = passed.map(({ previous }) => previous).filter((previous) => previous !== 0);
  const deletions = gone.filter(({ kind }) => kind === ENTRY_KIND.delete);
  const bytes = await remove(connection, [...replaced, ...gone.map(({ seq }) => seq)]);
  const end = passed.length < SLICE ? clock.floor : (passed.at(-1)?.seq ?? clock.floor);
  return {
    clock: { ...clock, pruned_to: end, history_bytes: clock.history_bytes - bytes },
    statements: removeHeads(deletions),
  };
}

/** What a cleared or dropped incarnation held to its end. */
async function forgetCollection(
  connection: Connection,
  clock: ClockRow,
  collection: number,
): Promise<{ readonly clock: ClockRow; readonly statements: readonly Statement[] }> {
  const heads = await connection.rows<Pick<PassedRow, 'collection' | 'key' | 'seq'>>(HEADS, [
    ...[collection, SLICE],
  ]);
  const bytes = await remove(
    connection,
    heads.map(({ seq }) => seq),
  );
  const last =
    heads.length < SLICE
      ? [{ text: 'DELETE FROM collection WHERE id = $1', values: [collection] }]
      : [];
  return {
    clock: { ...clock, history_bytes: clock.history_bytes - bytes },
    statements: [...removeHeads(heads), ...last],
  };
}

function removeHeads(
  rows: readonly Pick<PassedRow, 'collection' | 'key' | 'seq'>[],
): readonly Statement[] {
  if (rows.length === 0) return [];
  const values = [
    rows.map(({ collection }) => collection),
    rows.map(({ key }) => key),
    rows.map(({ seq }) => seq),
  ];
  return [{ text: REMOVE_HEADS, values }];
}

async function remove(connection: Connection, sequences: readonly number[]): Promise<number> {
  const removed = await connection.rows<{ bytes: number | null }>(REMOVE, [sequences]);
  return removed.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
}
