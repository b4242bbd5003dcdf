import type { Clock } from '../../platform/clock.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { toWireError } from '../mapping/error.ts';
import { isStream, watchEnd } from './stream.ts';

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const MS_PER_SECOND = 1000;

/** The reason under which calls are counted that succeed. */
const SUCCESS = 'OK';

/** Counts calls by method, door and reason, and times them; a stream until its end. */
export function createCallMetrics({
  metrics,
  clock,
}: {
  readonly metrics: Metrics;
  readonly clock: Clock;
}): CallInterceptor {
  const calls = metrics.counter('moltendb_calls_total', 'Calls by method, protocol and reason.');
  const seconds = metrics.histogram(
    'moltendb_call_duration_seconds',
    'How long calls took, by method.',
    SECONDS,
  );
  let running = 0;
  metrics.gauge('moltendb_calls_running', 'Calls that are not over yet.', () => running);
  return (next) => async (call) => {
    const startMs = clock.monotonic();
    const method = nameOf(call.method);
    const { protocol } = call.origin;
    running += 1;
    const finish = (reason: string): void => {
      running -= 1;
      calls.add({ method, protocol, reason });
      seconds.observe({ method }, (clock.monotonic() - startMs) / MS_PER_SECOND);
    };
    const ended = (): void => {
      finish(SUCCESS);
    };
    const failed = (error: unknown): unknown => {
      finish(toWireError(error).reason);
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
