import type { LogEntry } from '../types.ts';
import type { Sql } from './database.ts';
import { entryOf, type EntryRow, type ReplacingRow } from '../commit/rows.ts';

/** Which stretch of the log. */
export interface LogRequest {
  readonly after: number;
  readonly limit: number;
  readonly charsMax: number | undefined;
  readonly upTo: number | undefined;
  readonly withPrevious: boolean;
}

/** Bodies read at once, in characters; the commit that passes this bound is read to its end. */
const SLICE_CHARS = 4 * 1024 * 1024;

const COLUMNS = `v.seq, v.ts, v.first, v.kind, c.name, v.key, v.version, v.previous,
  v.created_seq, v.created_at, v.expires_at, v.cause, v.body`;
// A creation is chained to the deletion before it, which is nothing that it replaced.
const REPLACED = `p.seq AS p_seq, p.ts AS p_ts, p.version AS p_version,
  p.expires_at AS p_expires_at, p.body AS p_body`;
const READ = `SELECT ${COLUMNS} FROM ver v JOIN collection c ON c.id = v.collection
  WHERE v.seq > ? ORDER BY v.seq`;
const READ_REPLACING = `SELECT ${COLUMNS}, ${REPLACED}
  FROM ver v JOIN collection c ON c.id = v.collection
  LEFT JOIN ver p ON p.seq = v.previous AND p.kind = 1
  WHERE v.seq > ? ORDER BY v.seq`;

/** Reads whole commits; undefined when their bodies have more than `giveUpChars` characters. */
export function readLog(
  sql: Sql,
  { after, limit, charsMax = SLICE_CHARS, upTo = Infinity, withPrevious }: LogRequest,
  giveUpChars?: number,
): readonly LogEntry[] | undefined {
  const entries: LogEntry[] = [];
  /** Entries of commits that are known to be whole. */
  let whole = 0;
  let chars = 0;
  const rows = sql(withPrevious ? READ_REPLACING : READ).iterate(after);
  for (const row of rows as Iterable<ReplacingRow>) {
    if (entries.at(-1)?.commit !== BigInt(row.first)) {
      whole = entries.length;
      if (isEnough(whole, chars, { limit, charsMax })) return entries;
    }
    if (row.seq > upTo) return entries.slice(0, whole);
    chars += sizeOf(row);
    if (giveUpChars !== undefined && chars > giveUpChars) return undefined;
    entries.push(entryOf(row));
  }
  return entries;
}

function isEnough(
  entries: number,
  chars: number,
  { limit, charsMax }: { readonly limit: number; readonly charsMax: number },
): boolean {
  return entries >= limit || (entries > 0 && chars >= charsMax);
}

function sizeOf(row: EntryRow & Partial<ReplacingRow>): number {
  return (row.body?.length ?? 0) + (row.p_body?.length ?? 0);
}
