import type { Message } from '@bufbuild/protobuf';

import type { CallResult } from '../call.ts';

/** Reports whether a call answers with many messages. */
export function isStream(result: CallResult): result is AsyncIterable<Message> {
  return Symbol.asyncIterator in result;
}

/** What to do when a stream is over. */
export interface StreamEnd {
  /** Gives the error to go on with. */
  readonly failed: (error: unknown) => unknown;
  /** The last message was taken, or nobody wants more. */
  readonly ended?: () => void;
}

/** The same messages; `failed` or `ended` is called once, when there are no more. */
export async function* watchEnd(
  results: AsyncIterable<Message>,
  { failed, ended }: StreamEnd,
): AsyncIterable<Message> {
  let error: unknown;
  let hasFailed = false;
  try {
    yield* results;
  } catch (thrown) {
    hasFailed = true;
    error = failed(thrown);
    throw error;
  } finally {
    if (!hasFailed) ended?.();
  }
}

/** Ends work from outside, also while nothing comes of it. */
export interface Interrupt {
  /** The outcome of the work, or the error of `fail`. One at a time. */
  race<T>(work: Promise<T>): Promise<T>;
  /** What is awaited now, and everything after it, rejects with this. */
  fail(error: unknown): void;
}

/** Creates it. Unlike `Promise.race` against one promise, it keeps nothing of what it has let pass. */
export function createInterrupt(): Interrupt {
  let failure: { readonly error: unknown } | undefined;
  let refuse: ((error: unknown) => void) | undefined;
  return {
    race: (work) =>
      new Promise((resolve, reject) => {
        refuse = reject;
        work.then(resolve, reject);
        if (failure !== undefined) refuse(failure.error);
      }),
    fail(error) {
      failure ??= { error };
      refuse?.(failure.error);
    },
  };
}

/** What happens around a stream that can be interrupted. */
export interface Surroundings {
  /** Called when the first message is asked for; what it returns is called at the end. */
  readonly begin: () => () => void;
  /** Called before each message goes on. */
  readonly look?: () => void;
}

/** The same messages until the interrupt fails. */
export async function* untilInterrupted(
  results: AsyncIterable<Message>,
  interrupt: Interrupt,
  { begin, look }: Surroundings,
): AsyncIterable<Message> {
  const finish = begin();
  const iterator = results[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await interrupt.race(iterator.next());
      if (step.done === true) return;
      look?.();
      yield step.value;
    }
  } finally {
    finish();
    // Not awaited: a stream that waits for its next message would hold up the end.
    iterator.return?.().catch(() => undefined);
  }
}
