import { DomainError } from '../../errors/domain-error.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Call, CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { INTERNAL_MESSAGE } from '../mapping/error.ts';
import { isStream, watchEnd } from './stream.ts';

/** Turns what is not expected into INTERNAL. Its cause goes to the log and nowhere else. */
export function createErrors(logger: Logger): CallInterceptor {
  return (next) => async (call) => {
    const failed = (error: unknown): DomainError => translate(error, call);
    try {
      const result = await next(call);
      return isStream(result) ? watchEnd(result, { failed }) : result;
    } catch (error) {
      throw failed(error);
    }
  };

  function translate(error: unknown, { method, origin }: Call): DomainError {
    if (error instanceof DomainError && error.reason !== 'INTERNAL') return error;
    const cause = error instanceof DomainError ? (error.cause ?? error) : error;
    const stack = cause instanceof Error ? cause.stack : String(cause);
    const { requestId } = origin;
    logger.error('a call failed unexpectedly', { requestId, method: nameOf(method), stack });
    return new DomainError('INTERNAL', INTERNAL_MESSAGE, { cause });
  }
}
