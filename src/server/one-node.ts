import { every } from '../platform/timers.ts';
import type { StorageEngine } from '../storage/engine.ts';

/** A third of the time that a lease lasts: two renewals may fail. */
const RENEW_MS = 10_000;

/** Work that is due on all nodes of a store. */
export interface DueJob {
  readonly job: string;
  /** The moment of its schedule, the same on all nodes, in Unix milliseconds. */
  readonly momentMs: number;
}

/**
 * Does what is due at one moment on the node that takes the job for it, and nothing on any other, however late that
 * one comes; nothing either while another node is still at the job. The signal aborts when the job is found to be lost
 * to another node. Rejects when the store cannot tell who has it.
 */
export async function onOneNode(
  engine: StorageEngine,
  { job, momentMs }: DueJob,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { jobs } = engine;
  const taken = await (jobs === undefined ? engine.lease(job) : jobs.claim(job, momentMs));
  if (taken === undefined) return;
  const lost = new AbortController();
  const renew = async (): Promise<void> => {
    const held = await engine.lease(job);
    // Given back to this one by somebody who had it meanwhile, it is another turn.
    if (held?.fence !== taken.fence) lost.abort();
  };
  const stop = every(RENEW_MS, () => {
    // One that fails is made good by the next.
    renew().catch(() => undefined);
  });
  try {
    await work(lost.signal);
  } finally {
    stop();
  }
}
