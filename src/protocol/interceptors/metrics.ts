import type { Clock } from '../../platform/clock.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { toWireError } from '../mapping/error.ts';

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const MS_PER_SECOND = 1000;

/** Counts calls by method, door and reason, and times them. For a stream: until its first result. */
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
  return (next) => async (call) => {
    const startMs = clock.monotonic();
    const method = nameOf(call.method);
    const { protocol } = call.origin;
    const finish = (reason: string): void => {
      calls.add({ method, protocol, reason });
      seconds.observe({ method }, (clock.monotonic() - startMs) / MS_PER_SECOND);
    };
    try {
      const result = await next(call);
      finish('');
      return result;
    } catch (error) {
      finish(toWireError(error).reason);
      throw error;
    }
  };
}
