import { Cron } from 'croner';

import { DomainError } from '../../errors/domain-error.ts';

/**
 * Runs `work` whenever a cron expression says so: five fields, or six with seconds first, in UTC. A run
 * that is due while another one goes on is left out. ARGUMENT_INVALID for a malformed expression.
 */
export function startSchedule(expression: string, work: () => Promise<void>): Disposable {
  const job = parseCron(expression, work);
  return {
    [Symbol.dispose]() {
      job.stop();
    },
  };
}

function parseCron(expression: string, work: () => Promise<void>): Cron {
  try {
    // A schedule alone does not keep a process alive.
    return new Cron(expression, { timezone: 'UTC', protect: true, unref: true }, work);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError(
      'ARGUMENT_INVALID',
      `the schedule '${expression}' is no cron expression: ${problem}`,
      { metadata: { schedule: expression }, cause },
    );
  }
}
