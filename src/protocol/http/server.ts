import type { Server as TlsServer } from 'node:tls';

import cors from '@fastify/cors';
import { fastify, type FastifyInstance } from 'fastify';

import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import { after, every } from '../../platform/timers.ts';
import type { Logger } from '../../platform/logger.ts';
import { toProblem } from '../mapping/error.ts';
import { sendProblem } from '../rest/problem.ts';
import type { AddressLimit } from './address-limit.ts';
import type { Buffered } from './buffered.ts';
import { createAddressOf, type AddressOf } from './client-address.ts';
import type { Connections } from './connections.ts';
import { REQUEST_ID_HEADER, requestIdOf, type Door } from './door.ts';
import { countExchange, createEdge, type Exchange } from './edge.ts';
import { frameworkCodeOf } from './framework-error.ts';
import {
  CONNECTION_LIMITS,
  createCleartextServer,
  createTlsServer,
  secureContext,
  type ConnectionLimits,
  type Port,
  type RequestHandler,
  type TlsMaterial,
  type UpgradeHandler,
} from './one-port.ts';
import { RATE_LIMIT_FIELDS } from './rate-limit-fields.ts';
import { bodyTooLarge } from './read-body.ts';
import { HttpRefusal } from './refusal.ts';
import { setRetryAfter } from './retry-after.ts';
import { createTurnAway, type TurnAway } from './turn-away.ts';

/** How the one port behaves. */
export interface HttpServerOptions {
  readonly doors: readonly Door[];
  /** Absent: cleartext. */
  readonly tls?: TlsMaterial | undefined;
  /** Bytes of a request body, counted as they are read. */
  readonly maxBodyBytes: number;
  /** Origins of browsers that may call now, exactly as browsers send them. Empty: none. */
  readonly corsOrigins: () => readonly string[];
  /** Where requests come from. Absent: from their peer, whatever their headers say. */
  readonly addressOf?: AddressOf;
  readonly logger: Logger;
  readonly limits?: ConnectionLimits;
  /** The refusal of a request that is turned away; undefined: come in. Absent: all come in. */
  readonly admit?: () => DomainError | undefined;
  /** Whose connections are those of many callers. Absent: nobody's. */
  readonly isProxy?: (address: string) => boolean;
  /** How much each address may ask. Absent: anything. */
  readonly addressLimit?: AddressLimit;
  /** Takes WebSocket handshakes. Absent: none is taken. */
  readonly onUpgrade?: UpgradeHandler;
  /** How long calls may go on after `close` is called, in milliseconds. Default 5,000. */
  readonly graceMs?: number;
}

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** The one port. */
export interface HttpServer {
  readonly connections: Connections;
  readonly buffered: Buffered;
  /** Port 0 chooses a free one. */
  listen(host: string, port: number): Promise<ListenAddress>;
  /** Shows another certificate from the next connection on. Only for a server with TLS. */
  replaceCertificate(tls: TlsMaterial): void;
  /** Refuses new calls, lets running ones end, then closes every connection. */
  close(): Promise<void>;
}

const GRACE_MS = 5000;
/**
 * Connections that wait to be taken. The system drops what comes beyond and leaves its caller to try again
 * for seconds; one that is taken can be turned away at once.
 */
const BACKLOG = 4096;
const PARAM_CHARS_MAX = 1024;

/** On every answer; a door may replace one by setting it. Answers depend on who asks. */
const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};
const TLS_SECURITY_HEADERS = {
  ...SECURITY_HEADERS,
  'strict-transport-security': 'max-age=31536000',
};

/** How often connections that have become idle are looked for while closing, in milliseconds. */
const CLOSE_IDLE_MS = 50;

/** Creates the server and lets every door register its routes. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { limits = CONNECTION_LIMITS, addressLimit, admit } = options;
  const bodyBytesMax = options.maxBodyBytes;
  const turnAway = admit && createTurnAway({ admit, bodyBytesMax, headers: headersOf(options) });
  const { app, port } = createApp(options, turnAway);
  app.decorateRequest('response');
  app.decorateRequest('answer');
  app.decorateRequest('isCounted', false);
  app.decorate('addressOf', options.addressOf ?? createAddressOf([]));
  app.decorateRequest('refusal');
  // Before all other hooks.
  turnAway?.join(app);
  app.addHook('onRequest', async (request, reply) => {
    request.response = reply.raw;
    request.answer = reply;
    reply.header(REQUEST_ID_HEADER, request.id);
    reply.headers(headersOf(options));
  });
  // Before any route, of which that of CORS is the first.
  app.setErrorHandler(
    async (error, request, reply) =>
      await sendProblem(request, reply, fromFastify(error, request.routeOptions.bodyLimit)),
  );
  const edge = createEdge({ limits, addressLimit, bodyBytesMax, buffered: port.buffered });
  edge.guardPreflights(app);
  await allowOrigins(app, options.corsOrigins);
  edge.guardRequests(app);
  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const error = new DomainError(
      'ROUTE_NOT_FOUND',
      `there is no ${request.method} ${path}; see /docs for what there is`,
      { metadata: { method: request.method, path } },
    );
    const problem = toProblem(error, request.id);
    return await reply.code(problem.status).type('application/problem+json').send(problem);
  });
  for (const door of options.doors) {
    await app.register(async (scope) => {
      await door(scope);
    });
  }
  return {
    connections: port.connections,
    buffered: port.buffered,
    async listen(host, wanted) {
      await app.listen({ host, port: wanted, backlog: BACKLOG });
      const address = app.server.address();
      const isBound = typeof address === 'object' && address !== null;
      return { host, port: isBound ? address.port : wanted };
    },
    replaceCertificate(tls) {
      const server = app.server as unknown as Pick<TlsServer, 'setSecureContext'>;
      // Tickets of sessions are sealed by what goes with it, so that none of before resumes.
      server.setSecureContext(secureContext(tls));
    },
    async close() {
      turnAway?.leave();
      const { server } = app;
      const stopGrace = after(options.graceMs ?? GRACE_MS, () => {
        server.closeAllConnections();
      });
      const stopIdle = every(CLOSE_IDLE_MS, () => {
        server.closeIdleConnections();
      });
      await app.close();
      stopGrace();
      stopIdle();
    },
  };
}

const refuseUpgrade: UpgradeHandler = (_request, socket) => {
  socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
};

function headersOf({ tls }: HttpServerOptions): Readonly<Record<string, string>> {
  return tls === undefined ? SECURITY_HEADERS : TLS_SECURITY_HEADERS;
}

function createApp(
  options: HttpServerOptions,
  turnAway: TurnAway | undefined,
): { readonly app: FastifyInstance; readonly port: Port } {
  const { tls, maxBodyBytes, limits = CONNECTION_LIMITS, onUpgrade = refuseUpgrade } = options;
  const { isProxy = () => false } = options;
  const place: { port?: Port } = {};
  const app = fastify({
    bodyLimit: maxBodyBytes,
    genReqId: ({ headers }) => requestIdOf(headers[REQUEST_ID_HEADER]),
    logger: false,
    frameworkErrors: (error, request, reply) => {
      refusePath(error, { request, reply }, options);
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX, caseSensitive: true },
    serverFactory: (handler) => {
      // The handler takes requests of both versions, which Fastify's types cannot say.
      const handle: RequestHandler = (request, response) => {
        if (turnAway?.atOnce(request, response) !== true) handler(request, response);
      };
      place.port =
        tls === undefined
          ? createCleartextServer(handle, { limits, onUpgrade, isProxy })
          : createTlsServer(handle, { tls, limits, onUpgrade, isProxy });
      return place.port.server;
    },
  });
  invariant(place.port !== undefined, 'Fastify makes its server at once');
  return { app, port: place.port };
}

/** A path that cannot be decoded never reaches a route, nor what every other request passes. */
function refusePath(
  error: unknown,
  { request, reply }: Exchange,
  options: HttpServerOptions,
): void {
  const text = FRAMEWORK_ERRORS[frameworkCodeOf(error)] ?? 'the path has a broken percent-encoding';
  const beyondLimit = countExchange({ request, reply }, options.addressLimit);
  const problem = toProblem(beyondLimit ?? new DomainError('ARGUMENT_INVALID', text), request.id);
  if (beyondLimit !== undefined) setRetryAfter(reply, beyondLimit);
  reply.hijack();
  reply.raw.writeHead(problem.status, {
    ...headersOf(options),
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'application/problem+json',
    [REQUEST_ID_HEADER]: request.id,
  });
  reply.raw.end(JSON.stringify(problem));
}

/** CORS for exactly these origins; everything a browser client of any protocol needs. */
async function allowOrigins(app: FastifyInstance, current: () => readonly string[]): Promise<void> {
  await app.register(cors, {
    origin(_origin, answer) {
      const origins = current();
      if (origins.length === 0) answer(null, false);
      else answer(null, origins.includes('*') ? '*' : [...origins]);
    },
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      ...['authorization', 'content-type', 'if-match', 'if-none-match', REQUEST_ID_HEADER],
      ...['connect-protocol-version', 'connect-timeout-ms', 'grpc-timeout', 'x-grpc-web'],
      ...['x-timeout-ms', 'x-user-agent', 'x-api-key'],
    ],
    exposedHeaders: [
      ...['etag', REQUEST_ID_HEADER, ...RATE_LIMIT_FIELDS],
      ...['grpc-status', 'grpc-message', 'grpc-status-details-bin'],
    ],
    maxAge: 7200,
  });
}

const FRAMEWORK_ERRORS: Readonly<Record<string, string>> = {
  FST_ERR_MAX_PARAM_LENGTH: `a part of the path is longer than ${String(PARAM_CHARS_MAX)} characters`,
};

const FASTIFY_ERRORS: Readonly<Record<string, readonly [status: number, message: string]>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'the content type is not one this route takes'],
  FST_ERR_CTP_INVALID_JSON_BODY: [400, 'the body is not JSON'],
  FST_ERR_CTP_EMPTY_JSON_BODY: [400, 'the body is empty; send a JSON object'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'the body is not as long as its content-length says'],
};

/** What Fastify refuses by itself, in our words. */
function fromFastify(error: unknown, bodyBytesMax: number): unknown {
  const code = frameworkCodeOf(error);
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    const { message, metadata } = bodyTooLarge(bodyBytesMax);
    return new HttpRefusal(413, message, metadata);
  }
  const known = FASTIFY_ERRORS[code];
  return known === undefined ? error : new HttpRefusal(...known);
}
