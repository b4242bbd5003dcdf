/** Spans: what a call did, and how long each part took. Off unless a server is told where to send them. */

/** What is known of a span: names of the semantic conventions of OpenTelemetry. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** What begins. */
export interface SpanStart {
  readonly name: string;
  /** `server`: a call from elsewhere. `internal`: a part of one, or nothing when there is none. */
  readonly kind: 'server' | 'internal';
  readonly attributes: SpanAttributes;
  /** The W3C header `traceparent` of the caller. What is malformed is as if it were absent. */
  readonly traceparent?: string | undefined;
}

/** A span that is not over. */
export interface Span {
  set(attributes: SpanAttributes): void;
  /** Ends it; `errorType` says that it failed, and how. Once. */
  end(errorType?: string): void;
  /** Runs work whose spans are parts of this one. */
  run<T>(work: () => T): T;
}

/** Makes spans. */
export interface Tracer {
  /** Undefined: this is not to be traced. */
  start(options: SpanStart): Span | undefined;
}

/** A tracer that sends what ended elsewhere. Disposing sends the rest. */
export interface Tracing extends Tracer, AsyncDisposable {}

/** A parent of the W3C Trace Context. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const HEX = 16;

/** Reads a `traceparent` (W3C Trace Context, section 3.2); undefined when it must be ignored. */
export function parseTraceparent(text: string | undefined): TraceParent | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] =
    TRACEPARENT.exec(text ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) {
    return undefined;
  }
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, HEX) };
}
