import { every } from '../platform/timers.ts';
import type { StorageEngine } from '../storage/engine.ts';

/** A third of the time that a lease lasts: two renewals may fail. */
const RENEW_MS = 10_000;

/**
 * Does work that one node of a store does at a time, and holds the job while it lasts; nothing while
 * another node has it. Nodes whose clocks agree within half a minute do what is due at one moment once.
 */
export async function onOneNode(
  engine: StorageEngine,
  job: string,
  work: () => Promise<void>,
): Promise<void> {
  if ((await engine.lease(job)) === undefined) return;
  const stop = every(RENEW_MS, () => {
    // One that fails is made good by the next.
    engine.lease(job).catch(() => undefined);
  });
  try {
    await work();
  } finally {
    stop();
  }
}
