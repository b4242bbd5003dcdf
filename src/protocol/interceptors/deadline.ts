import { DomainError } from '../../errors/domain-error.ts';
import { after } from '../../platform/timers.ts';
import type { Call, CallInterceptor, CallResult } from '../call.ts';
import { createInterrupt, isStream, untilInterrupted } from './stream.ts';

/** The longest deadline that is taken, in milliseconds; a caller that wants longer gets this. */
const DEADLINE_MAX_MS = 3_600_000;

/**
 * Ends a call when its caller no longer waits. The signal of the call aborts, and the caller is told
 * DEADLINE_EXCEEDED whether or not the work has noticed; a stream is bounded until its last message.
 * Calls without a deadline pass untouched.
 */
export const deadline: CallInterceptor = (next) => async (call) => {
  const { timeoutMs } = call.origin;
  if (timeoutMs === undefined) return await next(call);
  const ms = Math.min(timeoutMs, DEADLINE_MAX_MS);
  const passed = new AbortController();
  const interrupt = createInterrupt();
  const stop = after(ms, () => {
    interrupt.fail(exceeded(ms));
    passed.abort();
  });
  const limited: Call = { ...call, signal: AbortSignal.any([call.origin.signal, passed.signal]) };
  let result: CallResult;
  try {
    result = await interrupt.race(next(limited));
  } catch (error) {
    stop();
    throw error;
  }
  if (isStream(result)) return untilInterrupted(result, interrupt, { begin: () => stop });
  stop();
  return result;
};

function exceeded(ms: number): DomainError {
  return new DomainError('DEADLINE_EXCEEDED', `the call took longer than its ${String(ms)} ms`, {
    metadata: { timeoutMs: String(ms) },
  });
}
