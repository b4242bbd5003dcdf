import {
  create,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
} from '@bufbuild/protobuf';

import { invariant } from '../errors/invariant.ts';
import {
  createCall,
  type CallContext,
  type CallHandler,
  type CallInterceptor,
  type CallOrigin,
  type CallResult,
  type ServiceImplementation,
} from './call.ts';

/** A service and what implements it. */
export interface ServiceBinding {
  readonly service: DescService;
  readonly handlers: ReadonlyMap<DescMethod, CallHandler>;
}

/** Runs calls; every door hands them here. */
export interface Dispatcher {
  readonly services: readonly DescService[];
  /** Every method by its full name, such as `molten.v1.DocumentService/GetDocument`. */
  readonly methods: ReadonlyMap<string, DescMethod>;
  /** Runs a call through the interceptors to its service. Rejects with DomainError. */
  dispatch(method: DescMethod, request: Message, origin: CallOrigin): Promise<CallResult>;
}

type ServiceMethod = (
  request: Message,
  context: CallContext,
) =>
  | Promise<MessageInitShape<DescMethod['output']>>
  | AsyncIterable<MessageInitShape<DescMethod['output']>>;

/** Binds an implementation to its service; its type proves that no method is missing. */
export function bindService<S extends DescService>(
  service: S,
  implementation: ServiceImplementation<S>,
): ServiceBinding {
  // The methods are looked up by name once, here; the parameter type has proven their shapes.
  const methods = implementation as Readonly<Record<string, ServiceMethod | undefined>>;
  const handlers = service.methods.map((method): [DescMethod, CallHandler] => {
    const run = methods[method.localName];
    invariant(run !== undefined, `${service.typeName} lacks ${method.localName}`);
    return [method, handlerOf(method, run)];
  });
  return { service, handlers: new Map(handlers) };
}

function handlerOf(method: DescMethod, run: ServiceMethod): CallHandler {
  return async (call) => {
    const result = run(call.request, call);
    if (Symbol.asyncIterator in result) return createEach(method, result);
    return create(method.output, await result);
  };
}

async function* createEach(
  method: DescMethod,
  results: AsyncIterable<MessageInitShape<DescMethod['output']>>,
): AsyncIterable<Message> {
  for await (const result of results) yield create(method.output, result);
}

/** Composes services and interceptors; the first interceptor is the outermost. */
export function createDispatcher({
  services,
  interceptors,
}: {
  readonly services: readonly ServiceBinding[];
  readonly interceptors: readonly CallInterceptor[];
}): Dispatcher {
  const handlers = new Map(services.flatMap((binding) => [...binding.handlers]));
  const serve: CallHandler = async (call) => {
    const handler = handlers.get(call.method);
    invariant(handler !== undefined, `no service has ${call.method.name}`);
    return await handler(call);
  };
  const chain = interceptors.reduceRight((next, interceptor) => interceptor(next), serve);
  return {
    services: services.map(({ service }) => service),
    methods: new Map([...handlers.keys()].map((method) => [nameOf(method), method])),
    dispatch(method, request, origin) {
      return chain(createCall(method, request, origin));
    },
  };
}

/** The full name of a method: service, slash, method. */
export function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}
