import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';

import type { DescMethod, DescService } from '@bufbuild/protobuf';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { AdminService } from '../../../gen/molten/v1/admin_pb.ts';
import { SystemService } from '../../../gen/molten/v1/system_pb.ts';
import type { Standing } from '../../domain/quota/rate-limits.ts';
import { DomainError } from '../../errors/domain-error.ts';
import type { CallOrigin, ProtocolName } from '../call.ts';
import type { AddressOf } from './client-address.ts';
import { announce } from './rate-limit-fields.ts';

export type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** What answers this request; set by the server before any door sees it. */
    response: ServerResponse;
    /** Its answer, for headers that are known before the body is. */
    answer: FastifyReply;
    /** It was counted against its address. */
    isCounted: boolean;
    /** Why it may not come in, under overload. */
    refusal: DomainError | undefined;
  }
  interface FastifyContextConfig {
    /** Answered under overload as well: it costs little, or is how an operator helps. */
    isVital?: boolean;
    /** How those are refused that are not, before anything else is known of a request. Absent: by the door's handler of errors. */
    words?: BriefWords;
  }
  interface FastifyInstance {
    /** Where a request comes from, proxies considered. */
    addressOf: AddressOf;
  }
}

/** A whole answer. */
export interface BriefAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Words a refusal as its door does; undefined: for such a request only the door's handler of errors can. */
export type BriefWords = (
  request: Pick<FastifyRequest, 'id' | 'headers'>,
  refusal: DomainError,
) => BriefAnswer | undefined;

/** Registers the routes of one protocol. Each door gets a scope of its own for parsers and errors. */
export type Door = (app: FastifyInstance) => void | Promise<void>;

/** Routes of these services are vital. */
const VITAL: readonly DescService[] = [AdminService, SystemService];

/** What a route of an RPC is configured with. */
export function routeConfig({ parent }: DescMethod): { readonly isVital: boolean } {
  return { isVital: VITAL.includes(parent) };
}
/** Methods that a path may refuse. */
export const HTTP_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** The header that names a request in logs and errors, in both directions. */
export const REQUEST_ID_HEADER = 'x-request-id';

const REQUEST_ID = /^[A-Za-z0-9_.:-]{1,128}$/;

/** The caller's own request id when it is well-formed, else a new one. */
export function requestIdOf(offered: string | readonly string[] | undefined): string {
  return typeof offered === 'string' && REQUEST_ID.test(offered) ? offered : randomUUID();
}

/** One request header by lower-case name; several values are joined by a comma. */
export function headerOf(
  { headers }: { readonly headers: IncomingHttpHeaders },
  name: string,
): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** What a request tells about its caller. The signal aborts when the caller goes away. */
export function createOrigin(request: FastifyRequest, protocol: ProtocolName): CallOrigin {
  return new RequestOrigin(request, protocol);
}

class RequestOrigin implements CallOrigin {
  readonly protocol: ProtocolName;
  readonly requestId: string;
  readonly isCounted: boolean;
  readonly #request: FastifyRequest;
  #address: string | undefined;
  #signal: AbortSignal | undefined;

  constructor(request: FastifyRequest, protocol: ProtocolName) {
    this.protocol = protocol;
    this.requestId = request.id;
    this.isCounted = request.isCounted;
    this.#request = request;
  }

  /** Found once: several of those who look at a call ask. */
  get address(): string {
    this.#address ??= this.#request.server.addressOf(this.#request);
    return this.#address;
  }

  /** ARGUMENT_INVALID when the header is malformed. */
  get timeoutMs(): number | undefined {
    return timeoutOf(this.#request, this.protocol);
  }

  /** Most calls end before anybody asks, so it is made on demand. */
  get signal(): AbortSignal {
    this.#signal ??= disconnectSignal(this.#request);
    return this.#signal;
  }

  header(name: string): string | undefined {
    return headerOf(this.#request, name);
  }

  announce(standing: Standing): void {
    announce(this.#request.answer, standing);
  }

  disconnect(): void {
    const { response } = this.#request;
    // Over HTTP/2 only this stream, not the connection that others share.
    if ('stream' in response) {
      (response.stream as ServerHttp2Stream).close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
      response.destroy();
    }
  }
}

function disconnectSignal({ response }: FastifyRequest): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  if ('stream' in response) {
    // Over HTTP/2 a stream that its peer reset looks finished; only this event tells.
    const stream = response.stream as ServerHttp2Stream;
    if (stream.aborted || stream.destroyed) abort();
    else stream.once('aborted', abort);
    return controller.signal;
  }
  if (response.destroyed && !response.writableFinished) abort();
  else {
    response.once('close', () => {
      if (!response.writableFinished) abort();
    });
  }
  return controller.signal;
}

const TIMEOUT_MS = /^\d{1,10}$/;
const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const GRPC_UNIT_MS: Readonly<Record<string, number>> = {
  ...{ H: 3_600_000, M: 60_000, S: 1000 },
  ...{ m: 1, u: 1 / 1000, n: 1 / 1_000_000 },
};

/** How long the caller waits, by the header of its protocol. ARGUMENT_INVALID for a malformed one. */
function timeoutOf({ headers }: FastifyRequest, protocol: ProtocolName): number | undefined {
  if (protocol === 'grpc' || protocol === 'grpc-web') return grpcTimeout(headers['grpc-timeout']);
  const text = headers['connect-timeout-ms'] ?? headers['x-timeout-ms'];
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !TIMEOUT_MS.test(text)) {
    throw badTimeout(text, 'milliseconds in 1 to 10 digits');
  }
  return Number(text);
}

function grpcTimeout(text: string | readonly string[] | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = GRPC_TIMEOUT.exec(String(text));
  const unitMs = GRPC_UNIT_MS[match?.[2] ?? ''];
  if (unitMs === undefined) throw badTimeout(text, '1 to 8 digits and a unit: H, M, S, m, u or n');
  return Number(match?.[1]) * unitMs;
}

function badTimeout(text: string | readonly string[], form: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `the timeout '${String(text)}' is not ${form}`);
}
