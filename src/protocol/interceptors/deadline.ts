import type { Message } from '@bufbuild/protobuf';

import { DomainError } from '../../errors/domain-error.ts';
import { after } from '../../platform/timers.ts';
import type { Call, CallInterceptor, CallResult } from '../call.ts';
import { isStream } from './stream.ts';

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
  const timer = startTimer(Math.min(timeoutMs, DEADLINE_MAX_MS));
  const limited: Call = { ...call, signal: AbortSignal.any([call.origin.signal, timer.signal]) };
  let result: CallResult;
  try {
    result = await timer.race(next(limited));
  } catch (error) {
    timer.stop();
    throw error;
  }
  if (isStream(result)) return streamUntil(result, timer);
  timer.stop();
  return result;
};

interface Timer {
  readonly signal: AbortSignal;
  /** The outcome of the work, or DEADLINE_EXCEEDED. One at a time. */
  race<T>(work: Promise<T>): Promise<T>;
  stop(): void;
}

function startTimer(ms: number): Timer {
  const controller = new AbortController();
  let refuse: (error: DomainError) => void = () => undefined;
  const stop = after(ms, () => {
    refuse(exceeded(ms));
    controller.abort();
  });
  return {
    signal: controller.signal,
    race: (work) =>
      new Promise((resolve, reject) => {
        if (controller.signal.aborted) reject(exceeded(ms));
        refuse = reject;
        work.then(resolve, reject);
      }),
    stop,
  };
}

async function* streamUntil(results: AsyncIterable<Message>, timer: Timer): AsyncIterable<Message> {
  const iterator = results[Symbol.asyncIterator]();
  try {
    while (true) {
      const step = await timer.race(iterator.next());
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    timer.stop();
    // Not awaited: a stream that does not look at its signal must not hold up the answer.
    iterator.return?.().catch(() => undefined);
  }
}

function exceeded(ms: number): DomainError {
  return new DomainError('DEADLINE_EXCEEDED', `the call took longer than its ${String(ms)} ms`, {
    metadata: { timeoutMs: String(ms) },
  });
}
