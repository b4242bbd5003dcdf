import type { DescMethod, Message } from '@bufbuild/protobuf';

import { WatchService } from '../../../gen/molten/v1/watch_pb.ts';
import { lapsed, type Authenticator } from '../../domain/access/credentials.ts';
import { every, type StopTimer } from '../../platform/timers.ts';
import type { Call, CallInterceptor } from '../call.ts';
import { compileAuthorizer, type Authorizer } from './authorize.ts';
import { createInterrupt, isStream, untilInterrupted } from './stream.ts';

/** How often a stream that runs is looked at: what ends it does so within a second. */
const CHECK_MS = 500;

/**
 * Ends a stream when its caller may not go on: the credential has lapsed, or a scope was taken that its RPC
 * demands. Watches do it themselves, with a place to resume from.
 */
export function createStreamGuard(authenticator: Authenticator): CallInterceptor {
  const authorizers = new Map<DescMethod, Authorizer>();
  return (next) => async (call) => {
    const result = await next(call);
    if (!isStream(result) || call.method.parent === WatchService) return result;
    const authorize = authorizers.get(call.method) ?? compileAuthorizer(call.method);
    authorizers.set(call.method, authorize);
    return guard(result, () => {
      check(authenticator, authorize, call);
    });
  };
}

function check(authenticator: Authenticator, authorize: Authorizer, call: Call): void {
  const lapse = authenticator.lapseOf(call.principal);
  if (lapse !== undefined) throw lapsed(lapse);
  authorize(call.principal, call.request);
}

/** The same messages, until a check fails; also while none comes. */
function guard(results: AsyncIterable<Message>, demand: () => void): AsyncIterable<Message> {
  const interrupt = createInterrupt();
  const begin = (): StopTimer =>
    every(CHECK_MS, () => {
      try {
        demand();
      } catch (error) {
        interrupt.fail(error);
      }
    });
  return untilInterrupted(results, interrupt, { begin, look: demand });
}
