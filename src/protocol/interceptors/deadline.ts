import { DomainError } from '../../errors/domain-error.ts';
import { after } from '../../platform/timers.ts';
import type { Call, CallInterceptor, CallResult } from '../call.ts';

/** The longest deadline that is taken, in milliseconds; a caller that wants longer gets this. */
const DEADLINE_MAX_MS = 3_600_000;

/**
 * Ends a call when its caller no longer waits. The signal of the call aborts, and the caller is told
 * DEADLINE_EXCEEDED whether or not the work has noticed. Calls without a deadline pass untouched.
 */
export const deadline: CallInterceptor = (next) => (call) => {
  const { timeoutMs } = call.origin;
  return timeoutMs === undefined ? next(call) : runUntil(Math.min(timeoutMs, DEADLINE_MAX_MS));

  function runUntil(ms: number): Promise<CallResult> {
    const controller = new AbortController();
    const signal = AbortSignal.any([call.origin.signal, controller.signal]);
    const limited: Call = { ...call, signal };
    return new Promise((resolve, reject) => {
      const stop = after(ms, () => {
        reject(exceeded(ms));
        controller.abort();
      });
      next(limited).then(resolve, reject).finally(stop);
    });
  }
};

function exceeded(ms: number): DomainError {
  return new DomainError('DEADLINE_EXCEEDED', `the call took longer than its ${String(ms)} ms`, {
    metadata: { timeoutMs: String(ms) },
  });
}
