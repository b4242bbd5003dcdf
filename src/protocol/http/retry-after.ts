import type { WireError } from '../mapping/error.ts';
import type { FastifyReply } from './door.ts';

const MS_PER_SECOND = 1000;

/** Says in the header `retry-after` when to come again, for a failure that knows it; whole seconds, rounded up. */
export function setRetryAfter(
  reply: FastifyReply,
  { retryAfterMs }: Pick<WireError, 'retryAfterMs'>,
): void {
  if (retryAfterMs === undefined) return;
  reply.header('retry-after', String(Math.ceil(retryAfterMs / MS_PER_SECOND)));
}
