import { setTimeout as wait } from 'node:timers/promises';

import type { Reason } from '../errors/reason.ts';
import { toMoltenError } from './molten-error.ts';

/** Failures that another attempt may not have. */
const PASSING: readonly Reason[] = [
  ...(['OVERLOADED', 'ENGINE_UNAVAILABLE', 'SHUTTING_DOWN', 'RECOVERING', 'RATE_LIMITED'] as const),
  ...(['TRANSACTION_CONFLICT', 'DEADLINE_EXCEEDED', 'PROVIDER_UNAVAILABLE'] as const),
];
const ATTEMPTS = 6;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;

/**
 * Tries again after failures that pass, up to six times in all, waiting twice as long each time or as
 * long as the server says. Only for calls that may be repeated: reads, or writes with a request id.
 */
export async function withRetries<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const failure = toMoltenError(error);
      if (attempt >= ATTEMPTS || !PASSING.includes(failure.reason)) throw failure;
      const backoffMs = Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS);
      const waitMs = Math.min(failure.retryAfterMs ?? backoffMs, LONGEST_WAIT_MS);
      await wait(waitMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}
