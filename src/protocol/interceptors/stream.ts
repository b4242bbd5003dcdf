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
