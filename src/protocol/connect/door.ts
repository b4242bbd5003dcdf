/**
 * Connect, gRPC and gRPC-Web.
 *
 * Unary calls in the plain forms nearly every client uses (Connect JSON, Connect binary, gRPC, all
 * uncompressed) take a lean path: read, decode, dispatch, encode, write. Everything else (streams,
 * gRPC-Web, compression, GET) goes through Connect's own handlers, which dispatch in the same way, so
 * that both answer alike.
 */
import type { DescMethod, Message } from '@bufbuild/protobuf';
import { createConnectRouter, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { UniversalHandler } from '@connectrpc/connect/protocol';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ProtocolName } from '../call.ts';
import type { Dispatcher } from '../dispatcher.ts';
import {
  createOrigin,
  routeConfig,
  type Door,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from '../http/door.ts';
import { toConnectError } from '../mapping/error.ts';
import { DETAILS } from '../mapping/json-options.ts';
import { completeErrors } from './complete-errors.ts';
import { createLeanUnary } from './lean-unary.ts';
import { carryOrigin, originOf } from './origin.ts';
import { refuseCall, refuseCallBriefly } from './refuse-call.ts';

/** What the door needs. */
export interface ConnectDoorOptions {
  readonly dispatcher: Dispatcher;
  /** Bytes of one message, decompressed. */
  readonly maxBodyBytes: number;
  /** Told of answers that cannot be written. */
  readonly logger?: Logger | undefined;
  /** Registers services that are not dispatched: health and reflection. */
  readonly extras?: (router: ConnectRouter) => void;
}

/** Shorter answers are sent as they are: packing them costs more than it saves. */
const COMPRESS_MIN_BYTES = 4096;

/** Creates the door of the three RPC protocols. */
export function createConnectDoor(options: ConnectDoorOptions): Door {
  const { dispatcher, maxBodyBytes } = options;
  return (app) => {
    const router = createConnectRouter({
      readMaxBytes: maxBodyBytes,
      acceptCompression: [compressionGzip],
      compressMinBytes: COMPRESS_MIN_BYTES,
      jsonOptions: { ignoreUnknownFields: false, registry: DETAILS },
      // Deadlines are enforced by the interceptor of all protocols.
      maxTimeoutMs: Number.MAX_SAFE_INTEGER,
    });
    for (const service of dispatcher.services) {
      const methods = service.methods.map((method) => [method.localName, implement(method)]);
      router.service(service, Object.fromEntries(methods) as never);
    }
    options.extras?.(router);
    takeBodiesRaw(app);
    app.setErrorHandler(async (error, request, reply) => {
      refuseCall(request, reply, error);
    });
    const dispatched = new Set(dispatcher.methods.values());
    for (const handler of router.handlers) {
      const { method } = handler;
      const isLean = method.methodKind === 'unary' && dispatched.has(method);
      const lean = isLean ? createLeanUnary({ ...options, method }) : undefined;
      // Health costs little, and tells whether anybody is there.
      const isVital = dispatched.has(method)
        ? routeConfig(method).isVital
        : method.parent.typeName === Health.typeName;
      const config = { isVital, words: refuseCallBriefly };
      app.all(handler.requestPath, { config }, async (request, reply) => {
        if ((await lean?.(request, reply)) !== true) await serve(handler, { request, reply });
      });
    }
  };

  function implement(method: DescMethod): unknown {
    return method.methodKind === 'server_streaming'
      ? (request: Message, context: HandlerContext) => stream(method, request, context)
      : (request: Message, context: HandlerContext) => unary(method, request, context);
  }

  async function unary(
    method: DescMethod,
    request: Message,
    context: HandlerContext,
  ): Promise<unknown> {
    try {
      return await dispatcher.dispatch(method, request, originOf(context));
    } catch (error) {
      throw toConnectError(error);
    }
  }

  async function* stream(
    method: DescMethod,
    request: Message,
    context: HandlerContext,
  ): AsyncIterable<unknown> {
    try {
      const result = await dispatcher.dispatch(method, request, originOf(context));
      yield* result as AsyncIterable<unknown>;
    } catch (error) {
      throw toConnectError(error);
    }
  }
}

/** A request that is to be answered. */
interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Lets Connect's own handler answer. */
async function serve(handler: UniversalHandler, { request, reply }: Exchange): Promise<void> {
  reply.hijack();
  const values = carryOrigin(createOrigin(request, protocolOf(request)));
  try {
    const call = universalRequestFromNodeRequest(request.raw, reply.raw, undefined, values);
    const response = await completeErrors(await handler(call), request.id);
    copyHeaders(reply);
    await universalResponseToNodeResponse(response, reply.raw);
  } catch {
    // The caller has gone, or is no HTTP client at all; there is nobody to tell.
    reply.raw.destroy();
  }
}

/** Every parser of this scope leaves the body on the socket for who reads it. */
function takeBodiesRaw(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null, undefined);
  });
}

function protocolOf({ headers }: FastifyRequest): ProtocolName {
  const type = headers['content-type'] ?? '';
  if (type.startsWith('application/grpc-web')) return 'grpc-web';
  return type.startsWith('application/grpc') ? 'grpc' : 'connect';
}

/** Headers set by hooks are kept by Fastify until it sends, which it does not here. */
function copyHeaders(reply: FastifyReply): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
}
