import { compacted, inFuture } from '../commit/refusals.ts';
import type { ReadOptions } from '../engine.ts';
import { readClock, type ClockRow } from './clock-row.ts';
import type { Connection, ConnectionPool } from './connections.ts';

/** One committed state of the database, as long as its transaction is open. */
export interface Snapshot {
  readonly connection: Connection;
  readonly clock: ClockRow;
}

/** Runs reads that all see the newest committed state. */
export async function inSnapshot<T>(
  pool: ConnectionPool,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  return await pool.use(async (connection) => {
    const [, clock] = await Promise.all([
      connection.command('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'),
      readClock(connection),
    ]);
    try {
      return await work({ connection, clock });
    } finally {
      await connection.command('ROLLBACK');
    }
  });
}

/** The sequence to read at; SEQUENCE_IN_FUTURE or SEQUENCE_COMPACTED when it cannot be read. */
export function readableSequence(
  clock: ClockRow,
  atSequence: ReadOptions['atSequence'],
): number | undefined {
  if (atSequence === undefined) return undefined;
  const sequence = Number(atSequence);
  if (sequence > clock.seq) throw inFuture(sequence, clock.seq);
  if (sequence < clock.floor) throw compacted(sequence, clock.floor);
  return sequence;
}
