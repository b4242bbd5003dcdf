import type { FastifyReply } from './door.ts';

const MS_PER_SECOND = 1000;

/** A failure that may know when to come again. */
interface Retriable {
  readonly retryAfterMs?: number | undefined;
}

/** Says in the header `retry-after` when to come again, for a failure that knows it. */
export function setRetryAfter(reply: FastifyReply, failure: Retriable): void {
  if (failure.retryAfterMs === undefined) return;
  reply.header('retry-after', retryAfterOf(failure));
}

/** The value of that header: whole seconds, rounded up; 0: at once. */
export function retryAfterOf({ retryAfterMs = 0 }: Retriable): string {
  return String(Math.ceil(retryAfterMs / MS_PER_SECOND));
}
