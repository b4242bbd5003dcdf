import { continueLog, type LogPosition, type LogWriter } from '../commit/log-writer.ts';
import type { LogStore } from '../commit/store.ts';
import type { Sql } from './database.ts';
import { readHistoryBytes } from './floor.ts';

/** Continues the log of a file. */
export function createLogWriter(sql: Sql, store: LogStore): LogWriter {
  return continueLog(store, { ...readEnd(sql), history: readHistoryBytes(sql) });
}

/** The last entry of the log as the file has it; zeros for an empty log. */
export function readEnd(sql: Sql): LogPosition {
  const row = sql('SELECT seq, ts FROM ver ORDER BY seq DESC LIMIT 1').get() as
    { readonly seq: number; readonly ts: number } | undefined;
  return { sequence: row?.seq ?? 0, timestampMs: row?.ts ?? 0 };
}

/** The end of the last commit that is whole at a sequence. */
export function wholeCommit(sql: Sql, sequence: number): number {
  const first = sql('SELECT first FROM ver WHERE seq = ?')
    .pluck()
    .get(sequence + 1) as number | undefined;
  return first !== undefined && first <= sequence ? first - 1 : sequence;
}
