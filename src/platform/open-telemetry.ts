import { AsyncLocalStorage } from 'node:async_hooks';

import type { Context, Span as OtelSpan } from '@opentelemetry/api';

import { parseTraceparent, type Span, type SpanStart, type Tracing } from './tracing.ts';

/** Where spans go. */
export interface TracingOptions {
  /** The base URL of a collector of OTLP over HTTP, such as `http://127.0.0.1:4318`. */
  readonly endpoint: string;
  readonly release: string;
}

const TRACES_PATH = 'v1/traces';
const SEND_TIMEOUT_MS = 5000;

/**
 * Starts to trace. Only now the packages are loaded, so that a server without tracing starts as fast as before;
 * nothing of theirs is global. Spans wait in a bounded queue; what a collector does not take is dropped.
 */
export async function openTracing({ endpoint, release }: TracingOptions): Promise<Tracing> {
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const url = new URL(TRACES_PATH, endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href;
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: SEND_TIMEOUT_MS });
  const provider = new sdk.BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'moltendb', 'service.version': release }),
    spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer('moltendb', release);
  const current = new AsyncLocalStorage<Context>();

  function contextOf({ kind, traceparent }: SpanStart): Context | undefined {
    if (kind === 'internal') return current.getStore();
    const parent = parseTraceparent(traceparent);
    if (parent === undefined) return api.ROOT_CONTEXT;
    const { traceId, spanId, flags: traceFlags } = parent;
    const remote = { traceId, spanId, traceFlags, isRemote: true };
    return api.trace.setSpanContext(api.ROOT_CONTEXT, remote);
  }

  function wrap(span: OtelSpan, context: Context): Span {
    return {
      set(attributes) {
        span.setAttributes(attributes);
      },
      end(errorType) {
        if (errorType !== undefined) {
          span.setAttribute('error.type', errorType);
          span.setStatus({ code: api.SpanStatusCode.ERROR });
        }
        span.end();
      },
      run: (work) => current.run(context, work),
    };
  }

  return {
    start(options) {
      const parent = contextOf(options);
      if (parent === undefined) return undefined;
      const kind = options.kind === 'server' ? api.SpanKind.SERVER : api.SpanKind.INTERNAL;
      const { name, attributes } = options;
      const span = tracer.startSpan(name, { kind, attributes: { ...attributes } }, parent);
      return wrap(span, api.trace.setSpan(parent, span));
    },
    async [Symbol.asyncDispose]() {
      // A collector that is gone must not keep a server from stopping.
      await provider.shutdown().catch(() => undefined);
    },
  };
}
