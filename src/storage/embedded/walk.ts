import type { Access, EncodedRange, KeyRange } from '../query/plan.ts';
import { DOCUMENT_COLUMNS, type DocumentRow } from '../commit/rows.ts';
import type { Sql } from './database.ts';

type AccessOf<K extends Access['kind']> = Extract<Access, { readonly kind: K }>;

const LIVE_SOURCE = 'head h CROSS JOIN ver v ON v.seq = h.seq';

/**
 * The rows of key ranges, by key. `history`: the newest row of each key that ever was, deleted or not,
 * as a start to walk back from; its body is of no use.
 */
export function* scanKeys(
  sql: Sql,
  { collection, mode }: { readonly collection: number; readonly mode: 'live' | 'history' },
  { ranges, reverse }: Pick<AccessOf<'scan'>, 'ranges' | 'reverse'>,
): Iterable<DocumentRow> {
  const columns = mode === 'live' ? DOCUMENT_COLUMNS : 'h.key, h.seq';
  const source = mode === 'live' ? LIVE_SOURCE : 'head h';
  const live = mode === 'live' ? 'AND h.live = 1' : '';
  const direction = reverse ? 'DESC' : 'ASC';
  for (const range of ranges) {
    const { condition, values } = keyCondition(range);
    const text = `SELECT ${columns} FROM ${source}
      WHERE h.collection = ? ${live} AND ${condition} ORDER BY h.key ${direction}`;
    yield* sql(text).iterate(collection, ...values) as Iterable<DocumentRow>;
  }
}

function keyCondition(range: KeyRange): { condition: string; values: readonly string[] } {
  if (range.kind === 'key') return { condition: 'h.key = ?', values: [range.key] };
  return range.upper === undefined
    ? { condition: 'h.key >= ?', values: [range.lower] }
    : { condition: 'h.key >= ? AND h.key < ?', values: [range.lower, range.upper] };
}

/** The rows of key ranges together, in the order they were created. */
export function* walkInsertion(
  sql: Sql,
  collection: number,
  { ranges, reverse, fromCreated }: AccessOf<'scan'>,
): Iterable<DocumentRow> {
  const conditions = ranges.map(keyCondition);
  const keys = conditions.map(({ condition }) => `(${condition})`).join(' OR ');
  const from = fromCreated === undefined ? '' : `AND h.created_seq ${reverse ? '<' : '>='} ?`;
  const text = `SELECT ${DOCUMENT_COLUMNS} FROM head h INDEXED BY head_created
    CROSS JOIN ver v ON v.seq = h.seq
    WHERE h.collection = ? AND h.live = 1 ${from} AND (${keys})
    ORDER BY h.created_seq ${reverse ? 'DESC' : 'ASC'}`;
  if (ranges.length === 0) return;
  const start = fromCreated === undefined ? [] : [Number(fromCreated)];
  const values = conditions.flatMap((condition) => condition.values);
  yield* sql(text).iterate(collection, ...start, ...values) as Iterable<DocumentRow>;
}

/** The rows of ranges of an index, by entry; equal entries by key, ascending. */
export function* walkIndex(
  sql: Sql,
  ids: { readonly collection: number; readonly index: number },
  { ranges, reverse, afterKey }: AccessOf<'index'>,
): Iterable<DocumentRow> {
  for (const { lower, upper } of ranges) {
    const below = upper === undefined ? '' : 'AND e.value < ?';
    const later = afterKey === undefined ? '' : 'AND e.key > ?';
    const text = `SELECT ${DOCUMENT_COLUMNS} FROM entry e
      CROSS JOIN head h ON h.collection = ? AND h.key = e.key
      CROSS JOIN ver v ON v.seq = h.seq
      WHERE e.idx = ? AND e.value >= ? ${below} ${later}
      ORDER BY e.value ${reverse ? 'DESC' : 'ASC'}, e.key ASC`;
    const bounds = boundsOf({ lower, upper }, afterKey);
    yield* sql(text).iterate(ids.collection, ids.index, ...bounds) as Iterable<DocumentRow>;
  }
}

function boundsOf(
  { lower, upper }: EncodedRange,
  afterKey: string | undefined,
): readonly unknown[] {
  return [
    lower,
    ...(upper === undefined ? [] : [upper]),
    ...(afterKey === undefined ? [] : [afterKey]),
  ];
}
