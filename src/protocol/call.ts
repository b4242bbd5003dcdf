/**
 * What travels through the server: one call, whatever protocol it came by.
 *
 * Every door (Connect, gRPC, gRPC-Web, REST, the compatibility routes, WebSocket, SSE) makes a Call and
 * hands it to the Dispatcher, which runs the same interceptors and the same service implementation. A
 * door knows bytes, headers and status codes; it knows nothing of rules.
 */
import type {
  DescMethod,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';

import { ANONYMOUS, type Principal } from '../domain/access/principal.ts';
import type { Standing } from '../domain/quota/rate-limits.ts';

/** The door a call came through; a label of logs and metrics. */
export type ProtocolName =
  'connect' | 'grpc' | 'grpc-web' | 'rest' | 'oauth' | 'compat' | 'websocket' | 'sse' | 'internal';

/** What a door tells about the caller. */
export interface CallOrigin {
  readonly protocol: ProtocolName;
  /** Taken from the caller's `x-request-id` when it is well-formed, made by the server otherwise. */
  readonly requestId: string;
  /** The peer's address, without port. */
  readonly address: string;
  /** One request header by lower-case name; several values are joined by a comma. */
  header(name: string): string | undefined;
  /** Aborts when the caller goes away, when its deadline passes, or when the server stops. */
  readonly signal: AbortSignal;
  /** How long the caller is willing to wait from now, in milliseconds; undefined: no bound of its own. */
  readonly timeoutMs: number | undefined;
  /** Cuts the caller off, for one that does not read what it asked for. */
  disconnect(): void;
  /** The request that the call came in was counted against its address. Absent: the call is. */
  readonly isCounted?: boolean;
  /** Tells the caller how it stands with a limit. Absent: the protocol has no place for it. */
  announce?(standing: Standing): void;
}

/** The host that was asked, whatever the version of HTTP; empty when the caller does not say. */
export function hostOf(origin: CallOrigin): string {
  return origin.header('host') ?? origin.header(':authority') ?? '';
}

/** What is learned of a call on its way in, for those who tell of it on its way out: logs and traces. */
export interface CallFacts {
  /** Who calls; empty until that is known. */
  subject: string;
}

/** One call on its way through the interceptors. */
export interface Call {
  readonly method: DescMethod;
  readonly request: Message;
  readonly origin: CallOrigin;
  /** Who calls. Anonymous until the authenticate interceptor has run. */
  readonly principal: Principal;
  /** Aborts with `origin.signal` and with the deadline. */
  readonly signal: AbortSignal;
  readonly facts: CallFacts;
}

/** A call as it comes in, by nobody that is known. */
export function createCall(method: DescMethod, request: Message, origin: CallOrigin): Call {
  const parts = { method, request, origin, principal: ANONYMOUS, facts: { subject: '' } };
  return new LazyCall(parts, origin);
}

/** The same call by a known caller. */
export function withPrincipal(call: Call, principal: Principal): Call {
  const { method, request, origin, facts } = call;
  facts.subject = principal.subject;
  return new LazyCall({ method, request, origin, principal, facts }, call);
}

/**
 * Its signal is made only when somebody asks for it: most calls end before anybody does. A class, for V8 keeps the getter
 * of a literal, with all that it sees, until a full collection: every request and answer, and long pauses for those of after.
 */
class LazyCall implements Call {
  readonly method: DescMethod;
  readonly request: Message;
  readonly origin: CallOrigin;
  readonly principal: Principal;
  readonly facts: CallFacts;
  readonly #source: Pick<Call, 'signal'>;

  constructor(parts: Omit<Call, 'signal'>, source: Pick<Call, 'signal'>) {
    this.method = parts.method;
    this.request = parts.request;
    this.origin = parts.origin;
    this.principal = parts.principal;
    this.facts = parts.facts;
    this.#source = source;
  }

  get signal(): AbortSignal {
    return this.#source.signal;
  }
}

/** One message, or, for a server-streaming method, a stream of them. */
export type CallResult = Message | AsyncIterable<Message>;

/** Handles a call; rejects with DomainError, or with anything else for our own bugs. */
export type CallHandler = (call: Call) => Promise<CallResult>;

/** Wraps a handler. The first of a list is the outermost. */
export type CallInterceptor = (next: CallHandler) => CallHandler;

/** What a service method gets besides its request. */
export type CallContext = Pick<Call, 'principal' | 'signal' | 'origin'>;

/** A service: one function per RPC, map in, domain, map out. */
export type ServiceImplementation<S extends DescService> = {
  readonly [K in keyof S['method']]: S['method'][K] extends {
    readonly methodKind: 'unary';
    readonly input: infer I extends DescMethod['input'];
    readonly output: infer O extends DescMethod['output'];
  }
    ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>
    : S['method'][K] extends {
          readonly methodKind: 'server_streaming';
          readonly input: infer I extends DescMethod['input'];
          readonly output: infer O extends DescMethod['output'];
        }
      ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageInitShape<O>>
      : never;
};
