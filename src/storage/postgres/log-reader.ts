import { DomainError } from '../../errors/domain-error.ts';
import { compacted, wrongEpoch } from '../commit/refusals.ts';
import { entryOf, type ReplacingRow } from '../commit/rows.ts';
import type { LogReadOptions } from '../engine.ts';
import type { LogEntry, Position } from '../types.ts';
import { BATCH_MIN, nextBatch } from './batch.ts';
import type { Connection } from './connections.ts';
import type { Snapshot } from './snapshot.ts';

/** Bodies read at once, in characters; the commit that passes this bound is read to its end. */
const SLICE_CHARS = 4 * 1024 * 1024;

const COLUMNS = `v.seq, v.ts, v.first, v.kind, c.name, v.key, v.version, v.previous,
  v.created_seq, v.created_at, v.expires_at, v.cause, v.body`;
// A creation is chained to the deletion before it, which is nothing that it replaced.
const REPLACED = `, p.seq AS p_seq, p.ts AS p_ts, p.version AS p_version,
  p.expires_at AS p_expires_at, p.body AS p_body`;
/** Epoch and floor come along, so that one statement tells both what there is and whether that is all. */
function textOf(withPrevious: boolean): string {
  return `SELECT k.epoch, k.floor, e.* FROM clock k LEFT JOIN LATERAL (
      SELECT ${COLUMNS}${withPrevious ? REPLACED : ''}
      FROM ver v JOIN collection c ON c.id = v.collection
      ${withPrevious ? 'LEFT JOIN ver p ON p.seq = v.previous AND p.kind = 1' : ''}
      WHERE v.seq > $1 AND v.seq <= $2 ORDER BY v.seq LIMIT $3
    ) e ON true ORDER BY e.seq`;
}

/** No sequence is greater. */
const LAST = Number.MAX_SAFE_INTEGER;

type FoundRow = Omit<ReplacingRow, 'seq'> & {
  readonly epoch: string;
  readonly floor: number;
  readonly seq: number | null;
};

/** Reads whole commits. SEQUENCE_COMPACTED when `after` lies below the floor, or on another timeline. */
export async function readLog(
  connection: Connection,
  after: Position,
  options: LogReadOptions,
): Promise<readonly LogEntry[]> {
  const text = textOf(options.withPrevious ?? false);
  const found = new WholeCommits(options);
  let from = Number(after.sequence);
  for (let size = BATCH_MIN; ;) {
    if (options.signal?.aborted === true)
      throw new DomainError('CANCELED', 'the read was canceled');
    // One beyond tells whether the last commit is whole.
    const rows = await connection.rows<FoundRow>(text, [from, LAST, size]);
    const { epoch, floor } = rows[0] ?? { epoch: after.epoch, floor: 0 };
    if (epoch !== after.epoch) throw wrongEpoch(after.epoch);
    if (from < floor) throw compacted(from, floor);
    for (const row of rows) {
      if (row.seq === null) return found.all();
      if (!found.add({ ...row, seq: row.seq })) return found.whole();
      from = row.seq;
    }
    if (rows.length < size) return found.all();
    size = nextBatch(rows);
  }
}

/** Gathers entries until there are enough of them, in whole commits. */
class WholeCommits {
  readonly #limit: number;
  readonly #charsMax: number;
  readonly #last: number;
  readonly #entries: LogEntry[] = [];
  /** Entries of commits that are known to be whole. */
  #whole = 0;
  #chars = 0;

  constructor({ limit, charsMax = SLICE_CHARS, upTo }: LogReadOptions) {
    this.#limit = limit;
    this.#charsMax = charsMax;
    this.#last = upTo === undefined ? LAST : Number(upTo);
  }

  /** False when the entry is not wanted any more, and what is whole is all. */
  add(row: ReplacingRow): boolean {
    if (this.#entries.at(-1)?.commit !== BigInt(row.first)) {
      this.#whole = this.#entries.length;
      if (this.#isEnough()) return false;
    }
    if (row.seq > this.#last) return false;
    this.#chars += (row.body?.length ?? 0) + (row.p_body?.length ?? 0);
    this.#entries.push(entryOf(row));
    return true;
  }

  #isEnough(): boolean {
    return this.#whole >= this.#limit || (this.#whole > 0 && this.#chars >= this.#charsMax);
  }

  whole(): readonly LogEntry[] {
    return this.#entries.slice(0, this.#whole);
  }

  all(): readonly LogEntry[] {
    return this.#entries;
  }
}

const AT_OR_BELOW = 'SELECT seq, ts FROM ver WHERE seq <= $1 ORDER BY seq DESC LIMIT 1';

/** The greatest sequence committed at or before a moment; 0 when there is none. */
export async function sequenceAt(
  { connection, clock }: Snapshot,
  timestampMs: number,
): Promise<number> {
  // Commit times never decrease along the sequence, so the log can be searched by halves.
  let found = 0;
  for (let low = 1, high = clock.seq; low <= high;) {
    const middle = Math.floor((low + high) / 2);
    const [entry] = await connection.rows<{ seq: number; ts: number }>(AT_OR_BELOW, [middle]);
    if (entry === undefined || entry.ts <= timestampMs) {
      found = entry?.seq ?? found;
      low = middle + 1;
    } else {
      high = entry.seq - 1;
    }
  }
  // Of the floor itself the entry may be gone.
  return clock.floor_at <= timestampMs ? Math.max(found, clock.floor) : found;
}
