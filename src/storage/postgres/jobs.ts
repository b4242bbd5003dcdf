import type { SharedJobs } from '../engine.ts';
import { NOW_MS } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { giveBackLease, takeLease } from './lease.ts';

const NOTE = `INSERT INTO lease AS held (job, holder, fence, until, done_at) VALUES ($1, '', 0, 0, ${NOW_MS})
  ON CONFLICT (job) DO UPDATE SET done_at = greatest(held.done_at, excluded.done_at)
  RETURNING job, done_at`;
const DONE = 'SELECT job, done_at FROM lease WHERE done_at IS NOT NULL';

interface DoneRow {
  readonly job: string;
  readonly done_at: number;
}

/** When jobs were last done by any node, as this one was last told. */
export interface DoneJobs {
  atMs(job: string): number | undefined;
  note(rows: readonly DoneRow[]): void;
  /** Reads what other nodes have noted. */
  refresh(connection: Connection): Promise<void>;
}

/** Creates the knowledge of a node that was told nothing. */
export function createDoneJobs(): DoneJobs {
  const done = new Map<string, number>();
  const note = (rows: readonly DoneRow[]): void => {
    for (const row of rows) done.set(row.job, Math.max(row.done_at, done.get(row.job) ?? 0));
  };
  return {
    atMs: (job) => done.get(job),
    note,
    async refresh(connection) {
      note(await connection.rows<DoneRow>(DONE));
    },
  };
}

/** The jobs of a node; `ask` lends a connection. */
export function createSharedJobs(
  node: string,
  done: DoneJobs,
  ask: <T>(work: (connection: Connection) => Promise<T>) => Promise<T>,
): SharedJobs {
  return {
    claim: (job, momentMs) => ask((connection) => takeLease(connection, { job, node, momentMs })),
    noteDone: (job) =>
      ask(async (connection) => {
        done.note(await connection.rows<DoneRow>(NOTE, [job]));
      }),
    doneAtMs: (job) => done.atMs(job),
    giveBack: (lease) => ask((connection) => giveBackLease(connection, lease)),
  };
}
