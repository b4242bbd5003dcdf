import type { Sequence } from '../types.ts';
import { delay } from '../../platform/timers.ts';
import { NOW_MS } from './clock-row.ts';
import type { Connection } from './connections.ts';

/** How often each node tells of itself. */
export const BEAT_MS = 5000;
/** A node that was not heard of for so long has ended. */
export const NODE_GONE_MS: number = 3 * BEAT_MS;

/** By then a node whose commit held its row has looked again, and told of itself. */
const SETTLE_MS = 1000;

const ADD = `INSERT INTO node (id, last_group, seen_at, pinned, format)
  SELECT $1, 0, ${NOW_MS}, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM node WHERE id = $1)
  ON CONFLICT (id) DO NOTHING`;
// A commit of the node that is under way holds its row, for as long as a standby is waited for.
const BEAT = `UPDATE node SET seen_at = ${NOW_MS}, pinned = $2, format = $3
  WHERE id IN (SELECT id FROM node WHERE id = $1 FOR UPDATE SKIP LOCKED) RETURNING id`;
const OLDER = `SELECT coalesce(format::text, 'before 4') AS format, count(*) AS nodes FROM node
  WHERE seen_at > ${NOW_MS} - ${String(NODE_GONE_MS)} AND coalesce(format, 0) < $1
  GROUP BY node.format ORDER BY node.format NULLS FIRST`;
const COUNT = `SELECT count(*) AS nodes FROM node WHERE seen_at > ${NOW_MS} - ${String(NODE_GONE_MS)}`;

/** What a node tells of itself. */
export interface Beat {
  readonly node: string;
  /** What it writes. */
  readonly format: number;
  /** What its readers need. */
  readonly pinned: Sequence | undefined;
}

/** Tells the other nodes; false: not now, as the node is committing, which is a sign of life as well. */
export async function beat(
  connection: Connection,
  { node, format, pinned }: Beat,
): Promise<boolean> {
  const values = [node, pinned ?? null, format];
  const [, told] = await Promise.all([
    connection.command(ADD, values),
    connection.rows(BEAT, values),
  ]);
  return told.length > 0;
}

/** Tells that a node has ended. */
export async function leave(connection: Connection, node: string): Promise<void> {
  await connection.command('DELETE FROM node WHERE id = $1', [node]);
}

/**
 * How many nodes of formats before one are at work, the oldest first. To be asked behind the lock of the log: nodes
 * whose commit held it, or waited for it, tell of themselves a moment later.
 */
export async function olderNodes(
  connection: Connection,
  format: number,
): Promise<readonly { readonly format: string; readonly nodes: number }[]> {
  await delay(SETTLE_MS);
  return await connection.rows(OLDER, [format]);
}

/** How many nodes are at work; see `olderNodes`. */
export async function countNodes(connection: Connection): Promise<number> {
  await delay(SETTLE_MS);
  const [row] = await connection.rows<{ nodes: number }>(COUNT);
  return row?.nodes ?? 0;
}
