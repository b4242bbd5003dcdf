import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { createEndStreamSerialization, endStreamFlag } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';

import type { DomainError } from '../../errors/domain-error.ts';
import type { BriefAnswer, BriefWords, FastifyReply, FastifyRequest } from '../http/door.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { toConnectError, toWireError } from '../mapping/error.ts';
import { connectAnswer, failConnect } from './lean-unary.ts';

const endStream = createEndStreamSerialization(undefined);

/** Answers a request that is refused before it becomes a call, in the form that its client can read. */
export function refuseCall(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
  reply.hijack();
  const type = typeOf(request);
  if (type.startsWith('application/grpc')) {
    failGrpc(reply, error, type);
  } else if (type.startsWith('application/connect+')) {
    failConnectStream(reply, error, type);
  } else {
    failConnect(reply, error);
  }
}

/** The same in brief, for unary calls of Connect: nothing in it tells one call from another. */
export const refuseCallBriefly: BriefWords = (request, refusal) => {
  const type = typeOf(request);
  if (type.startsWith('application/grpc') || type.startsWith('application/connect+'))
    return undefined;
  const known = answers.get(refusal) ?? connectAnswer(refusal);
  answers.set(refusal, known);
  return known;
};

const answers = new WeakMap<DomainError, BriefAnswer>();

function typeOf({ headers }: Pick<FastifyRequest, 'headers'>): string {
  return (headers['content-type'] ?? '').split(';', 1)[0] ?? '';
}

/** Without a message, what else follows it stands in the headers (gRPC over HTTP/2, `Trailers-Only`). */
function failGrpc(reply: FastifyReply, error: unknown, type: string): void {
  setRetryAfter(reply, toWireError(error));
  const status = Object.fromEntries(setTrailerStatus(new Headers(), toConnectError(error)));
  const headers = { ...reply.getHeaders(), ...status, 'content-type': type };
  reply.raw.writeHead(200, headers as never);
  reply.raw.end();
}

function failConnectStream(reply: FastifyReply, error: unknown, type: string): void {
  setRetryAfter(reply, toWireError(error));
  const end = endStream.serialize({ metadata: new Headers(), error: toConnectError(error) });
  const headers = { ...reply.getHeaders(), 'content-type': type };
  reply.raw.writeHead(200, headers as never);
  reply.raw.end(encodeEnvelope(endStreamFlag, end));
}
