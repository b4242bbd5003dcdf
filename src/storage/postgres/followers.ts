import { systemClock } from '../../platform/clock.ts';
import type { FollowedChange, FollowListener, Unsubscribe } from '../engine.ts';
import { toSequence } from '../types.ts';
import { BATCH_MIN, nextBatch } from './batch.ts';
import type { ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';

/** Those who hold in memory what other nodes may change. */
export interface Followers {
  add(collection: string, listener: FollowListener): Unsubscribe;
  /**
   * Tells them what is on stable storage as of a clock that was asked for at a time. What is not could be
   * lost, and its sequences be given to other commits.
   */
  advance(connection: Connection, clock: ClockRow, askedAtMs: number): Promise<void>;
  /** Everything that was on stable storage before this has been told; by the monotonic clock of the node. */
  readonly currentAtMs: number;
}

/** How long the log may be out of reach before a node says that it is, in milliseconds. */
export const OUT_OF_REACH_MS = 3000;
/**
 * A look at the log that took longer does not count: two of them with the pause between would be out of reach, and a node that comes
 * back would be in step for a moment only.
 */
const LOOK_MS_MAX = 1250;

interface ChangeRow {
  readonly seq: number;
  readonly name: string;
  readonly key: string;
  readonly body: string | null;
  readonly expires_at: number | null;
}

/** How far deletions were let go of comes along, so that one statement tells whether that is all. */
const CHANGES = `SELECT k.pruned_to, e.* FROM clock k LEFT JOIN LATERAL (
    SELECT v.seq, c.name, v.key, v.body, v.expires_at
    FROM ver v JOIN collection c ON c.id = v.collection
    WHERE v.seq > $1 AND v.seq <= $2 AND v.kind IN (1, 2) AND c.name = ANY($3::text[])
    ORDER BY v.seq LIMIT $4
  ) e ON true ORDER BY e.seq`;

type FoundRow = { readonly pruned_to: number } & (ChangeRow | { readonly seq: null });

/** Sequences looked through by one statement: few of them may be of interest. */
const WINDOW = 10_000;

/** Creates nobody, at the durable end of a log. */
export function createFollowers(
  { durable_seq: start }: Pick<ClockRow, 'durable_seq'>,
  startMs: number,
): Followers {
  const listeners = new Map<string, Set<FollowListener>>();
  let position = start;
  let currentAtMs = startMs;

  function tell({ name, key, seq, body, expires_at: expiresAt }: ChangeRow): void {
    const change: FollowedChange = {
      ...{ key, sequence: toSequence(seq), body: body ?? undefined },
      expiresAtMs: expiresAt ?? undefined,
    };
    for (const listener of listeners.get(name) ?? []) listener.told(change);
  }

  async function tellAll(connection: Connection, last: number): Promise<void> {
    const names = [...listeners.keys()];
    for (let limit = BATCH_MIN; position < last;) {
      const end = Math.min(last, position + WINDOW);
      const found = await connection.rows<FoundRow>(CHANGES, [position, end, names, limit]);
      if (position < (found[0]?.pruned_to ?? 0)) {
        await tellOfGap();
        return;
      }
      const rows = found.filter((row) => row.seq !== null);
      rows.forEach(tell);
      position = rows.length < limit ? end : (rows.at(-1)?.seq ?? end);
      limit = nextBatch(rows);
    }
  }

  /** They read it all again, and so what is on stable storage by now. */
  async function tellOfGap(): Promise<void> {
    const all = [...listeners.values()].flatMap((some) => [...some]);
    await Promise.all(all.map((listener) => listener.missed()));
  }

  return {
    get currentAtMs() {
      return currentAtMs;
    },
    add(collection, listener) {
      const own = { ...listener };
      const others = listeners.get(collection) ?? new Set();
      listeners.set(collection, others.add(own));
      return () => {
        others.delete(own);
      };
    },
    async advance(connection, { durable_seq: last }, askedAtMs) {
      if (listeners.size > 0) await tellAll(connection, last);
      position = last;
      if (systemClock.monotonic() - askedAtMs <= LOOK_MS_MAX) currentAtMs = askedAtMs;
    },
  };
}
