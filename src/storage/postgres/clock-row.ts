import type { Connection } from './connections.ts';

/** The row that all commits go through. */
export interface ClockRow {
  /** The end of the log, and its commit time in Unix milliseconds. */
  readonly seq: number;
  readonly ts: number;
  /** Everything up to here is on stable storage. */
  readonly durable_seq: number;
  /** The state right after this sequence, and every later one, can be read. */
  readonly floor: number;
  readonly floor_at: number;
  /** What only states below the floor need has been removed up to here. */
  readonly pruned_to: number;
  readonly history_bytes: number;
  /** The last id of a collection or an index. */
  readonly ids: number;
  /** Something is left to be done in the background. */
  readonly has_work: boolean;
  readonly epoch: string;
}

/** In SQL: this moment, not the beginning of a statement that may have waited for a row. Unix milliseconds. */
export const NOW_MS = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

const SELECT = 'SELECT * FROM clock WHERE id = 1';
const SAVE = `UPDATE clock SET seq = $1, ts = $2, durable_seq = $3, floor = $4, floor_at = $5,
  pruned_to = $6, history_bytes = $7, ids = $8, has_work = $9 WHERE id = 1`;

/** The clock as it is. */
export async function readClock(connection: Connection): Promise<ClockRow> {
  return only(await connection.rows<ClockRow>(SELECT));
}

/**
 * The clock, locked until the transaction ends. Statements after this one see all that was committed
 * before: one statement that locked and looked at once would see the state from before it waited.
 */
export async function lockClock(connection: Connection): Promise<ClockRow> {
  return only(await connection.rows<ClockRow>(`${SELECT} FOR UPDATE`));
}

/** The statement that keeps a locked clock. */
export function saveClock(clock: ClockRow): { text: string; values: readonly unknown[] } {
  const { seq, ts, durable_seq, floor, floor_at, pruned_to, history_bytes, ids, has_work } = clock;
  return {
    text: SAVE,
    values: [seq, ts, durable_seq, floor, floor_at, pruned_to, history_bytes, ids, has_work],
  };
}

function only(rows: readonly ClockRow[]): ClockRow {
  const [row] = rows;
  if (row === undefined) throw new Error('the clock has one row');
  return row;
}
