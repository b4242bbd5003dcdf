import { DomainError } from '../errors/domain-error.ts';
import { canceled } from './failures.ts';

/** Sign-ins that talk to one provider at once. */
const RUNNING_MAX = 16;
/** Sign-ins that may wait; more are refused, so that a slow provider cannot fill the memory. */
const WAITING_MAX = 64;
const RETRY_AFTER_MS = 1000;

/** Runs tasks, a few at a time, in the order they came. */
export type Gate = <T>(task: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** Creates the gate of one provider. RATE_LIMITED when too many wait, CANCELED on abort while waiting. */
export function createGate(): Gate {
  const waiting = new Set<() => void>();
  let running = 0;

  /** Hands the place on, so that nobody who has just come slips in between. */
  function leave(): void {
    const [next] = waiting;
    if (next === undefined) {
      running -= 1;
    } else {
      waiting.delete(next);
      next();
    }
  }

  async function enter(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) throw canceled();
    if (running < RUNNING_MAX) {
      running += 1;
      return;
    }
    if (waiting.size >= WAITING_MAX) throw tooMany();
    await new Promise<void>((resolve, reject) => {
      const giveUp = (): void => {
        waiting.delete(admit);
        reject(canceled());
      };
      const admit = (): void => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      waiting.add(admit);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  return async (task, signal) => {
    await enter(signal);
    try {
      return await task();
    } finally {
      leave();
    }
  };
}

function tooMany(): DomainError {
  return new DomainError('RATE_LIMITED', 'too many sign-ins at once; try again in a second', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
