import { Cron } from 'croner';

import { DomainError } from '../../errors/domain-error.ts';
import { systemClock } from '../../platform/clock.ts';

/** What is done by a schedule. */
export interface ScheduledWork {
  /** Given the moment of the schedule that is due, in Unix milliseconds, however late it is. */
  readonly run: (momentMs: number) => Promise<void>;
  /** Told when that rejects. */
  readonly onFailure: (error: unknown) => void;
}

const SECOND_MS = 1000;

/**
 * Runs work whenever a cron expression says so: five fields, or six with seconds first, in UTC. A run
 * that is due while another one goes on is left out; of several moments that passed while the process
 * stood still, the last is due. ARGUMENT_INVALID for a malformed expression.
 */
export function startSchedule(expression: string, work: ScheduledWork): Disposable {
  const job = parseCron(expression, work);
  return {
    [Symbol.dispose]() {
      job.stop();
    },
  };
}

function parseCron(expression: string, { run, onFailure }: ScheduledWork): Cron {
  let endedMs = -Infinity;
  const runAt = async (momentMs: number): Promise<void> => {
    // One that was due while another run went on comes when that has ended.
    if (momentMs <= endedMs) return;
    try {
      await run(momentMs);
    } finally {
      endedMs = systemClock.now();
    }
  };
  try {
    return new Cron(
      expression,
      // A schedule alone does not keep a process alive.
      { timezone: 'UTC', protect: true, unref: true, catch: onFailure },
      (job: Cron) => runAt(momentOf(job)),
    );
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError(
      'ARGUMENT_INVALID',
      `the schedule '${expression}' is no cron expression: ${problem}`,
      { metadata: { schedule: expression }, cause },
    );
  }
}

/** The moment that a run which has just begun was due at. */
function momentOf(job: Cron): number {
  // To the second, as moments are.
  const begunMs = job.currentRun()?.getTime() ?? 0;
  const [moment] = job.previousRuns(1, new Date(begunMs + SECOND_MS));
  return moment?.getTime() ?? begunMs;
}
