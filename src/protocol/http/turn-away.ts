/**
 * Turns calls away under overload: before anything else, and for as little as HTTP/1.1 takes. At twice the capacity
 * half of what comes ends here, and what that costs is taken from those that are let in.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { FastifyInstance } from 'fastify';

import type { DomainError } from '../../errors/domain-error.ts';
import { soon } from '../../platform/timers.ts';
import { REQUEST_ID_HEADER } from './door.ts';
import { retryAfterOf } from './retry-after.ts';

/** What turning away needs to know. */
export interface TurnAwayOptions {
  /** The refusal of a request that is turned away; undefined: come in. */
  readonly admit: () => DomainError | undefined;
  /** On every answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** The most a body may have. */
  readonly bodyBytesMax: number;
}

/**
 * Asks for every request that is not vital whether it may come in. Those that may not are answered here where their
 * route has words for it, and carry their refusal on where it has not.
 */
export function turnAway(app: FastifyInstance, options: TurnAwayOptions): void {
  const { admit, bodyBytesMax } = options;
  const common = Object.entries(options.headers).flat();
  const end = createEnds();
  app.addHook('onRequest', (request, reply, done) => {
    const { isVital, words } = request.routeOptions.config;
    const refusal = isVital === true ? undefined : admit();
    if (refusal === undefined) {
      done();
      return;
    }
    const answer = isPlain(request.raw, bodyBytesMax) ? words?.(request, refusal) : undefined;
    if (answer === undefined) {
      request.refusal = refusal;
      done();
      return;
    }
    reply.hijack();
    const { status, type, body } = answer;
    // Node throws away what is left of the request.
    reply.raw.writeHead(status, [
      ...common,
      ...[REQUEST_ID_HEADER, request.id, 'retry-after', retryAfterOf(refusal)],
      ...['content-type', type, 'content-length', String(Buffer.byteLength(body))],
    ]);
    end(reply.raw, body);
  });
}

/** Answers that wait to be ended together, at most: one connection may bring many requests in one turn. */
const TOGETHER_MAX = 64;

/**
 * Ends the answers of one turn of the event loop together: whoever takes them on the same machine, such as a proxy, is woken for all
 * of them, and not for each.
 */
function createEnds(): (response: ServerResponse, body: string) => void {
  const waiting: { readonly response: ServerResponse; readonly body: string }[] = [];
  const endAll = (): void => {
    for (const { response, body } of waiting.splice(0)) response.end(body);
  };
  return (response, body) => {
    waiting.push({ response, body });
    if (waiting.length === 1) soon(endAll);
    if (waiting.length >= TOGETHER_MAX) endAll();
  };
}

/** Of HTTP/1.1, not of a browser, which needs more headers, and with a body that is known to be of good size. */
function isPlain({ httpVersionMajor, headers }: IncomingMessage, bodyBytesMax: number): boolean {
  if (httpVersionMajor > 1 || headers.origin !== undefined) return false;
  if (headers['transfer-encoding'] !== undefined) return false;
  return Number(headers['content-length'] ?? 0) <= bodyBytesMax;
}
