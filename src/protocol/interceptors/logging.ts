import { OK } from '../../domain/node/call-figures.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { noteOf, toWireError } from '../mapping/error.ts';
import { isStream, watchEnd } from './stream.ts';

/**
 * One line per call, when it is over: which, by which door, whose, how it ended and how long it took. Never
 * its content. Failures are `info`, for most are the caller's; what is ours is logged where it is translated.
 */
export function createLogging({
  logger,
  clock,
}: {
  readonly logger: Logger;
  readonly clock: Clock;
}): CallInterceptor {
  return (next) => async (call) => {
    const startMs = clock.monotonic();
    const fields = (code: string): Record<string, unknown> => ({
      requestId: call.origin.requestId,
      method: nameOf(call.method),
      protocol: call.origin.protocol,
      code,
      ...(call.facts.subject === '' ? {} : { subject: call.facts.subject }),
      address: call.origin.address,
      durationMs: Math.round((clock.monotonic() - startMs) * 1000) / 1000,
    });
    const ended = (): void => {
      if (logger.writesDebug) logger.debug('call succeeded', fields(OK));
    };
    const failed = (error: unknown): unknown => {
      const { reason, message, code } = toWireError(error);
      logger.info('call failed', { ...fields(code), reason, message, ...noteOf(error) });
      return error;
    };
    try {
      const result = await next(call);
      if (isStream(result)) return watchEnd(result, { failed, ended });
      ended();
      return result;
    } catch (error) {
      throw failed(error);
    }
  };
}
