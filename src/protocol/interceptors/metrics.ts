import type { Activity } from '../../domain/node/activity.ts';
import { OK, type CallFigures } from '../../domain/node/call-figures.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Observe } from '../../platform/metrics.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { toWireError, type WireError } from '../mapping/error.ts';
import { isStream, watchEnd } from './stream.ts';

const MS_PER_SECOND = 1000;

/** Where calls are counted. */
export interface CallMetrics {
  readonly clock: Clock;
  readonly figures: CallFigures;
  readonly activity: Pick<Activity, 'add'>;
  /** Gets seconds, by method. */
  readonly observe: Observe;
}

/** Counts calls by method, door and code, times and remembers them; a stream until its end. */
export function createCallMetrics({
  clock,
  figures,
  activity,
  observe,
}: CallMetrics): CallInterceptor {
  return (next) => async (call) => {
    const startMs = clock.monotonic();
    const method = nameOf(call.method);
    const { protocol, requestId, address } = call.origin;
    figures.started();
    const finish = (error?: WireError): void => {
      const durationMs = clock.monotonic() - startMs;
      const { code = OK, reason } = error ?? {};
      figures.ended({ method, protocol, code, reason, durationMs });
      const who = { subject: call.facts.subject, address, requestId };
      activity.add({ atMs: clock.now(), method, protocol, code, durationMs, ...who });
      observe(durationMs / MS_PER_SECOND, { method });
    };
    const ended = (): void => {
      finish();
    };
    const failed = (error: unknown): unknown => {
      finish(toWireError(error));
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
