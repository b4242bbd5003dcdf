import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { toWireError } from '../mapping/error.ts';

/** One line per call: which, by which door, how it ended and how long it took. Never its content. */
export function createLogging({
  logger,
  clock,
}: {
  readonly logger: Logger;
  readonly clock: Clock;
}): CallInterceptor {
  return (next) => async (call) => {
    const startMs = clock.monotonic();
    const fields = (): Record<string, unknown> => ({
      requestId: call.origin.requestId,
      method: nameOf(call.method),
      protocol: call.origin.protocol,
      address: call.origin.address,
      durationMs: Math.round((clock.monotonic() - startMs) * 1000) / 1000,
    });
    try {
      const result = await next(call);
      logger.debug('call succeeded', fields());
      return result;
    } catch (error) {
      const { reason, message } = toWireError(error);
      logger.info('call failed', { ...fields(), reason, message });
      throw error;
    }
  };
}
