import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { createEndStreamSerialization, endStreamFlag } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';

import type { FastifyReply, FastifyRequest } from '../http/door.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { toConnectError, toWireError } from '../mapping/error.ts';
import { failConnect } from './lean-unary.ts';

const endStream = createEndStreamSerialization(undefined);

/** Answers a request that is refused before it becomes a call, in the form that its client can read. */
export function refuseCall(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
  reply.hijack();
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  if (type.startsWith('application/grpc')) {
    failGrpc(reply, error, type);
  } else if (type.startsWith('application/connect+')) {
    failConnectStream(reply, error, type);
  } else {
    failConnect(reply, error);
  }
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
