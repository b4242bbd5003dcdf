import { compacted } from '../commit/refusals.ts';
import type { Sql } from './database.ts';

/**
 * How far back the store reaches. The state right after `sequence`, and every later one, can be read;
 * what only earlier states need has been removed up to `prunedTo`, and is being removed up to `sequence`.
 */
export interface Floor {
  readonly sequence: number;
  /** The commit time of `sequence`, whose entry may be gone. */
  readonly timestampMs: number;
  readonly prunedTo: number;
}

const SELECT = 'SELECT value FROM meta WHERE name = ?';
const SAVE = 'INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)';

/** The floor as the file has it; zeros when nothing was ever dropped. */
export function readFloor(sql: Sql): Floor {
  return {
    sequence: readNumber(sql, 'floor'),
    timestampMs: readNumber(sql, 'floor_at'),
    prunedTo: readNumber(sql, 'pruned_to'),
  };
}

/** Writes the floor; a transaction must be open. */
export function saveFloor(sql: Sql, { sequence, timestampMs, prunedTo }: Floor): void {
  sql(SAVE).run('floor', sequence);
  sql(SAVE).run('floor_at', timestampMs);
  sql(SAVE).run('pruned_to', prunedTo);
}

/** Bytes of bodies that only the past needs. */
export function readHistoryBytes(sql: Sql): number {
  return readNumber(sql, 'history_bytes');
}

/** Writes them; a transaction must be open. */
export function saveHistoryBytes(sql: Sql, bytes: number): void {
  sql(SAVE).run('history_bytes', bytes);
}

function readNumber(sql: Sql, name: string): number {
  return Number(sql(SELECT).pluck().get(name) ?? 0);
}

/** SEQUENCE_COMPACTED when a state, or the log behind it, is no longer kept. */
export function assertKept(sql: Sql, sequence: number): void {
  const floor = readFloor(sql).sequence;
  if (sequence < floor) throw compacted(sequence, floor);
}
