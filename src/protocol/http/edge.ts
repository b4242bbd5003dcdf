/**
 * What a request must pass before anything reads it: the bounds of its head, and the limit of its address.
 * A refusal is thrown, and each door words it as it words every other.
 */
import type { IncomingMessage } from 'node:http';
import { constants, type Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { DomainError } from '../../errors/domain-error.ts';
import { soon } from '../../platform/timers.ts';
import { countRequest, type AddressLimit, type RefusedRequest } from './address-limit.ts';
import type { Buffered } from './buffered.ts';
import type { ConnectionLimits } from './one-port.ts';
import { createPipeline } from './pipeline.ts';
import { announce } from './rate-limit-fields.ts';
import { HttpRefusal } from './refusal.ts';

/** What the edge is told. */
export interface EdgeOptions {
  /** Absent: nothing is counted. */
  readonly addressLimit?: AddressLimit | undefined;
  readonly limits: Pick<ConnectionLimits, 'urlCharsMax' | 'headerBytesMax'>;
  /** The most a body may have. */
  readonly bodyBytesMax: number;
  readonly buffered: Pick<Buffered, 'holdAnswer' | 'watchBody'>;
}

/** Asked by machines all the time, answered from memory: no limit of calls. */
const UNCOUNTED: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/version']);

/** What HTTP/2 counts of a header besides its name and value (RFC 9113 section 10.5.1). */
const HEADER_OVERHEAD_BYTES = 32;

/** What requests pass, in two places: CORS, which answers preflights, stands between them. */
export interface Edge {
  /** Counts preflights before they are answered: no page is told why one was refused, whatever CORS says of it. */
  guardPreflights(app: FastifyInstance): void;
  /** Makes every other request of the server pass. */
  guardRequests(app: FastifyInstance): void;
}

/** Creates it. */
export function createEdge(options: EdgeOptions): Edge {
  const { limits, addressLimit, bodyBytesMax, buffered } = options;
  const awaitTurn = createPipeline();

  async function pass({ request, reply }: Exchange, turnedAway?: DomainError): Promise<void> {
    try {
      await awaitTurn(request, reply);
      if (turnedAway !== undefined) throw turnedAway;
      checkHead(request, limits);
      const refusal = countExchange({ request, reply }, addressLimit);
      if (refusal !== undefined) throw refusal;
    } catch (error) {
      discardBody(request, bodyBytesMax);
      throw error;
    }
  }

  return {
    guardPreflights(app) {
      app.addHook('onRequest', async (request, reply) => {
        // Overload is told to what follows, which a page can read.
        if (request.method === PREFLIGHT) await pass({ request, reply });
      });
    },
    guardRequests(app) {
      app.addHook('onRequest', async (request, reply) => {
        const { refusal } = request;
        if (request.method !== PREFLIGHT) {
          await pass({ request, reply }, refusal);
        } else if (refusal !== undefined) {
          discardBody(request, bodyBytesMax);
          throw refusal;
        }
        if (mayBeLarge(request.raw)) buffered.watchBody(request.raw);
      });
      guardAnswers(app, buffered);
    },
  };
}

/** A request that is to be answered. */
export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

const PREFLIGHT = 'OPTIONS';

function guardAnswers(app: FastifyInstance, buffered: EdgeOptions['buffered']): void {
  app.addHook('onSend', async ({ response }, reply, payload) => {
    const isLong = typeof payload === 'string' && payload.length > TEXT_CHARS_MAX;
    const sent = isLong ? Buffer.from(payload) : payload;
    if (!('stream' in response)) return sent;
    const stream = response.stream as ServerHttp2Stream;
    // Fastify writes it as it is taken.
    if (typeof sent === 'string' || Buffer.isBuffer(sent)) {
      buffered.holdAnswer(stream, sent.length);
    }
    // Whoever is refused in the middle of a body goes on sending it, over HTTP/1.1 until Fastify closes.
    if (reply.statusCode === TOO_LARGE) endUpload(stream);
    return sent;
  });
}

const TOO_LARGE = 413;
/** Until a text is taken Node keeps it in three times as many bytes as it has characters; longer ones go as bytes. */
const TEXT_CHARS_MAX = 16 * 1024;
/** Smaller bodies come to little, whatever the number of connections. */
const BODY_WATCHED_BYTES = 16 * 1024;

/** Over HTTP/2 there may be as many bodies as streams. */
function mayBeLarge(request: IncomingMessage | Http2ServerRequest): boolean {
  if ('stream' in request) return !request.stream.endAfterHeaders;
  const { headers } = request;
  const length = headers['content-length'];
  if (length !== undefined) return Number(length) > BODY_WATCHED_BYTES;
  return headers['transfer-encoding'] !== undefined;
}

/** Ends a stream when its answer is complete, which is no error (RFC 9113 section 8.1). */
function endUpload(stream: ServerHttp2Stream): void {
  stream.once('wantTrailers', () => {
    soon(() => {
      stream.close(constants.NGHTTP2_NO_ERROR);
    });
  });
}

function checkHead({ raw }: FastifyRequest, limits: EdgeOptions['limits']): void {
  const chars = raw.url?.length ?? 0;
  if (chars > limits.urlCharsMax) {
    const limit = String(limits.urlCharsMax);
    throw new HttpRefusal(
      414,
      `the URL is ${String(chars)} characters long; the limit is ${limit}, so send the request as a body`,
      { limit },
    );
  }
  // Node bounds the head of HTTP/1.1 itself; over HTTP/2 it only announces the bound.
  if (raw.httpVersionMajor < 2) return;
  const bytes = raw.rawHeaders.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const size = bytes + (raw.rawHeaders.length / 2) * HEADER_OVERHEAD_BYTES;
  if (size > limits.headerBytesMax) {
    const limit = String(limits.headerBytesMax);
    throw new HttpRefusal(431, `the headers are ${String(size)} bytes; the limit is ${limit}`, {
      limit,
    });
  }
}

/** Counts a request against its address, and announces how that stands. The refusal, when it is beyond its limit. */
export function countExchange(
  { request, reply }: Exchange,
  addressLimit: AddressLimit | undefined,
): DomainError | undefined {
  if (addressLimit === undefined) return undefined;
  request.isCounted = true;
  if (UNCOUNTED.has(request.routeOptions.url ?? '')) return undefined;
  const verdict = countRequest(addressLimit, describe(request));
  if (verdict?.standing !== undefined) announce(reply, verdict.standing);
  return verdict?.refusal;
}

/**
 * Over HTTP/1.1 what is left of a refused request stands before the next one, and a connection closed on it
 * takes the answer with it. So it is thrown away, up to what a body may have.
 */
function discardBody({ raw }: FastifyRequest, bodyBytesMax: number): void {
  if (raw.httpVersionMajor > 1) return;
  let length = 0;
  raw.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > bodyBytesMax) raw.socket.destroy();
  });
}

function describe(request: FastifyRequest): RefusedRequest {
  const address = request.server.addressOf(request);
  return { address, requestId: request.id, route: request.routeOptions.url ?? '' };
}
