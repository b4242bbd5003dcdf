import type { Sequence } from '../types.ts';
import type { Connection } from './connections.ts';

/** How often each node tells of itself. */
export const BEAT_MS = 5000;
/** A node that was not heard of for so long has ended. */
export const NODE_GONE_MS: number = 3 * BEAT_MS;

const BEAT = `INSERT INTO node (id, last_group, seen_at, pinned)
  VALUES ($1, 0, (extract(epoch FROM now()) * 1000)::bigint, $2)
  ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, pinned = excluded.pinned`;

/** Tells the other nodes of this one, and what its readers need. */
export async function beat(
  connection: Connection,
  node: string,
  pinned: Sequence | undefined,
): Promise<void> {
  await connection.command(BEAT, [node, pinned ?? null]);
}
