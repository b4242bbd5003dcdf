import type { FollowedChange, Unsubscribe } from '../engine.ts';
import { toSequence } from '../types.ts';
import { BATCH_MIN, nextBatch } from './batch.ts';
import type { ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';

/** Told of changes of a collection. */
type Listener = (change: FollowedChange) => void;

/** Those who hold in memory what other nodes may change. */
export interface Followers {
  add(collection: string, listener: Listener): Unsubscribe;
  /** Tells them what was committed up to a clock that was asked for at a time. */
  advance(connection: Connection, clock: ClockRow, askedAtMs: number): Promise<void>;
  /** Everything committed before this has been told; by the monotonic clock of the node. */
  readonly currentAtMs: number;
}

interface ChangeRow {
  readonly seq: number;
  readonly name: string;
  readonly key: string;
  readonly body: string | null;
  readonly expires_at: number | null;
}

const CHANGES = `SELECT v.seq, c.name, v.key, v.body, v.expires_at
  FROM ver v JOIN collection c ON c.id = v.collection
  WHERE v.seq > $1 AND v.seq <= $2 AND v.kind IN (1, 2) AND c.name = ANY($3::text[])
  ORDER BY v.seq LIMIT $4`;

/** Creates nobody, at a position of the log. */
export function createFollowers(sequence: number, startMs: number): Followers {
  const listeners = new Map<string, Set<Listener>>();
  let position = sequence;
  let currentAtMs = startMs;

  function tell({ name, key, seq, body, expires_at: expiresAt }: ChangeRow): void {
    const change: FollowedChange = {
      ...{ key, sequence: toSequence(seq), body: body ?? undefined },
      expiresAtMs: expiresAt ?? undefined,
    };
    for (const listener of listeners.get(name) ?? []) listener(change);
  }

  return {
    get currentAtMs() {
      return currentAtMs;
    },
    add(collection, listener) {
      const own: Listener = (change) => {
        listener(change);
      };
      const others = listeners.get(collection) ?? new Set();
      listeners.set(collection, others.add(own));
      return () => {
        others.delete(own);
      };
    },
    async advance(connection, { seq: last }, askedAtMs) {
      for (let limit = BATCH_MIN; position < last && listeners.size > 0;) {
        const names = [...listeners.keys()];
        const rows = await connection.rows<ChangeRow>(CHANGES, [position, last, names, limit]);
        rows.forEach(tell);
        if (rows.length < limit) break;
        position = rows.at(-1)?.seq ?? last;
        limit = nextBatch(rows);
      }
      position = last;
      currentAtMs = askedAtMs;
    },
  };
}
