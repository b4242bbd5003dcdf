import type { Tracer } from '../../platform/tracing.ts';
import type { CallInterceptor, ProtocolName } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { toWireError } from '../mapping/error.ts';
import { isStream, watchEnd } from './stream.ts';

/** `rpc.system` of the semantic conventions, by door. */
const SYSTEMS: Partial<Record<ProtocolName, string>> = {
  ...{ grpc: 'grpc', 'grpc-web': 'grpc', connect: 'connect_rpc' },
};

/**
 * One span per call, a part of its caller's trace when that sends `traceparent`. Never what the call carries,
 * nor who calls. A stream is one span until its end.
 */
export function createTracing(tracer: Tracer): CallInterceptor {
  return (next) => async (call) => {
    const { method, origin } = call;
    const { protocol } = origin;
    const span = tracer.start({
      ...{ name: nameOf(method), kind: 'server', traceparent: origin.header('traceparent') },
      attributes: {
        'rpc.system': SYSTEMS[protocol] ?? protocol,
        'rpc.service': method.parent.typeName,
        'rpc.method': method.name,
        'client.address': origin.address,
        'molten.protocol': protocol,
        'molten.request_id': origin.requestId,
      },
    });
    if (span === undefined) return await next(call);
    const failed = (error: unknown): unknown => {
      const { code, reason } = toWireError(error);
      span.set({ 'molten.reason': reason });
      span.end(code);
      return error;
    };
    const ended = (): void => {
      span.end();
    };
    try {
      const result = await span.run(() => next(call));
      if (isStream(result)) return watchEnd(result, { failed, ended });
      ended();
      return result;
    } catch (error) {
      throw failed(error);
    }
  };
}
