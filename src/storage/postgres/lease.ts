import type { DomainError } from '../../errors/domain-error.ts';
import { leaseLost } from '../commit/refusals.ts';
import type { Lease } from '../engine.ts';
import { NOW_MS } from './clock-row.ts';
import type { Connection } from './connections.ts';

/** How long a node that does not renew a job keeps it. */
const LEASE_MS = 30_000;

/** A clock that is further ahead than this is wrong: its moments are not remembered, and keep nobody from theirs. */
const AHEAD_MS = 3_600_000;

// For a moment it is taken once: whoever comes late finds that it, or a later one, was.
const TAKE = `INSERT INTO lease AS held (job, holder, fence, until, moment)
  VALUES ($1, $2, 1, ${NOW_MS} + $3::bigint, CASE WHEN $4::bigint <= ${NOW_MS} + ${String(AHEAD_MS)} THEN $4 ELSE 0 END)
  ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = ${NOW_MS} + $3::bigint,
    fence = held.fence + CASE WHEN held.holder = excluded.holder THEN 0 ELSE 1 END,
    moment = greatest(held.moment, excluded.moment)
  WHERE (held.holder = excluded.holder OR held.until < ${NOW_MS})
    AND ($4 IS NULL OR held.moment < $4)
  RETURNING fence`;
// The row stays locked until the turn ends: nobody takes over what is about to be committed.
const RENEW = `UPDATE lease l SET until = ${NOW_MS} + $3::bigint
  FROM unnest($1::text[], $2::bigint[]) AS mine (job, fence)
  WHERE l.job = mine.job AND l.fence = mine.fence RETURNING l.job, l.fence`;
const GIVE_BACK = 'UPDATE lease SET until = 0 WHERE job = $1 AND fence = $2';
const RELEASE = 'UPDATE lease SET until = 0 WHERE holder = $1';

/** What is taken, and by whom. */
export interface LeaseRequest {
  readonly job: string;
  readonly node: string;
  /** For one moment of a schedule. Absent: for as long as it is renewed. */
  readonly momentMs?: number;
}

/** Takes or renews a job; undefined while another node has it, and for a moment that has been taken. */
export async function takeLease(
  connection: Connection,
  { job, node, momentMs }: LeaseRequest,
): Promise<Lease | undefined> {
  const values = [job, node, LEASE_MS, momentMs ?? null];
  const [row] = await connection.rows<{ fence: number }>(TAKE, values);
  return row && { job, fence: row.fence };
}

/** Gives back one job; its fence stays. A lease that is lost stays with whoever has it. */
export async function giveBackLease(connection: Connection, { job, fence }: Lease): Promise<void> {
  await connection.command(GIVE_BACK, [job, fence]);
}

/** Gives back every job of a node; its fences stay. */
export async function releaseLeases(connection: Connection, node: string): Promise<void> {
  await connection.command(RELEASE, [node]);
}

/** TRANSACTION_CONFLICT for a lease that is lost; undefined for one that is held, and for none. */
export type HeldLeases = (lease: Lease | undefined) => DomainError | undefined;

/** Renews leases within a turn at the log, until the end of which nobody else can take them. */
export async function holdLeases(
  connection: Connection,
  leases: readonly Lease[],
): Promise<HeldLeases> {
  if (leases.length === 0) return () => undefined;
  const held = await connection.rows<Lease>(RENEW, [
    ...[leases.map(({ job }) => job), leases.map(({ fence }) => fence), LEASE_MS],
  ]);
  return (lease) => {
    if (lease === undefined) return undefined;
    const isHeld = held.some(({ job, fence }) => job === lease.job && fence === lease.fence);
    return isHeld ? undefined : leaseLost(lease.job);
  };
}
