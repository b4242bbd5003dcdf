import { DomainError } from '../../errors/domain-error.ts';
import type { Logger } from '../../platform/logger.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { INTERNAL_MESSAGE } from '../mapping/error.ts';

/** Turns what is not expected into INTERNAL. Its cause goes to the log and nowhere else. */
export function createErrors(logger: Logger): CallInterceptor {
  return (next) => async (call) => {
    try {
      return await next(call);
    } catch (error) {
      if (error instanceof DomainError && error.reason !== 'INTERNAL') throw error;
      const { requestId } = call.origin;
      const cause = error instanceof DomainError ? (error.cause ?? error) : error;
      const stack = cause instanceof Error ? cause.stack : String(cause);
      logger.error('a call failed unexpectedly', { requestId, method: nameOf(call.method), stack });
      throw new DomainError('INTERNAL', INTERNAL_MESSAGE, { cause });
    }
  };
}
