import { createHash } from 'node:crypto';

import { roll, roomOf } from '../../platform/sliding-windows.ts';
import type { BudgetDraw, BudgetShare } from '../types.ts';
import { NOW_MS } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { NODE_GONE_MS } from './nodes.ts';

/** Rows kept; those that end first are forgotten. */
const ROWS_MAX = 100_000;

const LOCK = `INSERT INTO budget AS held (key, idx, count, before, until)
  SELECT asked.key, 0, 0, 0, ${NOW_MS} + 2 * asked.ms
  FROM unnest($1::text[], $2::bigint[]) AS asked (key, ms)
  ON CONFLICT (key) DO UPDATE SET until = excluded.until
  RETURNING held.key, held.idx AS index, held.count, held.before`;
// After the rows are locked: whoever waited would otherwise draw from a window that is over.
const MOMENT = `SELECT ${NOW_MS} AS now,
  (SELECT count(*) FROM node WHERE seen_at > ${NOW_MS} - ${NODE_GONE_MS.toString()}) AS nodes`;
const SAVE = `UPDATE budget b SET idx = drawn.idx, count = drawn.count, before = drawn.before
  FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS drawn (key, idx, count, before)
  WHERE b.key = drawn.key`;
const FORGET = `DELETE FROM budget WHERE until < ${NOW_MS}
  OR key IN (SELECT key FROM budget ORDER BY until DESC OFFSET $1)`;

interface BudgetRow {
  readonly key: string;
  readonly index: number;
  readonly count: number;
  readonly before: number;
}

interface Asked {
  readonly key: string;
  readonly draw: BudgetDraw;
}

/** Draws shares of budgets in one transaction, for which two exchanges with the database are needed. */
export async function drawBudgets(
  connection: Connection,
  draws: readonly BudgetDraw[],
): Promise<{ readonly shares: readonly BudgetShare[]; readonly nodes: number }> {
  const asked = draws.map((draw) => ({ key: rowKeyOf(draw), draw }));
  // In one order on all nodes, so that no two wait for each other.
  const ordered = [...asked].sort((a, b) => (a.key < b.key ? -1 : 1));
  const [, rows, [moment]] = await Promise.all([
    connection.command('BEGIN'),
    connection.rows<BudgetRow>(LOCK, [
      ordered.map(({ key }) => key),
      ordered.map(({ draw }) => draw.windowMs),
    ]),
    connection.rows<{ now: number; nodes: number }>(MOMENT),
  ]);
  const found = new Map(rows.map((row) => [row.key, row]));
  const { now = 0, nodes = 1 } = moment ?? {};
  const shares = asked.map((one) => shareOf(one, found.get(one.key), now));
  await Promise.all([
    connection.command(SAVE, [
      asked.map(({ key }) => key),
      ...[shares.map(({ index }) => index), shares.map(({ count }) => count)],
      shares.map(({ before }) => before),
    ]),
    connection.command('COMMIT'),
  ]);
  return { shares, nodes };
}

/** Forgets budgets whose windows are over, and the oldest beyond a bound. */
export async function forgetBudgets(connection: Connection): Promise<void> {
  await connection.command(FORGET, [ROWS_MAX]);
}

function shareOf(
  { draw: { amount, ...bound } }: Asked,
  row: BudgetRow | undefined,
  nowMs: number,
): BudgetShare {
  const { windowMs } = bound;
  // The clock of a database may be set back.
  const index = Math.max(Math.floor(nowMs / windowMs), row?.index ?? 0);
  const resetMs = Math.min((index + 1) * windowMs - nowMs, windowMs);
  const window = { index: row?.index ?? index, count: row?.count ?? 0, before: row?.before ?? 0 };
  roll(window, index);
  const room = Math.max(0, Math.ceil(roomOf(window, bound, resetMs)));
  const granted = Math.min(amount, room);
  return { ...window, granted, resetMs, count: window.count + granted };
}

/** Of one size, and no name of anybody. */
function rowKeyOf({ key, windowMs }: BudgetDraw): string {
  return createHash('sha256').update(`${windowMs.toString()} ${key}`).digest('base64url');
}
