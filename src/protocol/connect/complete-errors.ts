/**
 * Connect's handlers answer some requests by themselves: those they cannot read. Such errors carry no
 * reason, and some have a code that blames the server. Here they get what every error of ours has, in
 * the place where each protocol keeps its errors.
 */
import { ConnectError } from '@connectrpc/connect';
import { encodeEnvelope, type UniversalServerResponse } from '@connectrpc/connect/protocol';
import {
  createEndStreamSerialization,
  endStreamFlag,
  errorFromJsonBytes,
  errorToJsonBytes,
} from '@connectrpc/connect/protocol-connect';
import { findTrailerError, setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { trailerFlag, trailerParse, trailerSerialize } from '@connectrpc/connect/protocol-grpc-web';

import { DomainError } from '../../errors/domain-error.ts';
import { saysReason, toConnectError, toProblem, toWireError } from '../mapping/error.ts';

const ENVELOPE_BYTES = 5;

/** The same response, in which every error says its reason. */
export async function completeErrors(
  response: UniversalServerResponse,
  requestId: string,
): Promise<UniversalServerResponse> {
  const { status, header, body, trailer } = response;
  const type = header?.get('content-type') ?? '';
  if (body === undefined) return status < 400 ? response : refuse(response, requestId);
  if (type.startsWith('application/grpc-web')) {
    return { ...response, body: replaceEnd(body, trailerFlag, completeTrailerFrame) };
  }
  if (type.startsWith('application/grpc')) {
    return {
      ...response,
      body: followed(body, () => {
        completeTrailer(trailer);
      }),
    };
  }
  if (type.startsWith('application/connect+')) {
    return { ...response, body: replaceEnd(body, endStreamFlag, completeEndStream) };
  }
  return status === 200 || header?.has('content-encoding') === true
    ? response
    : await completeUnary(response, body);
}

/** Refusals without a body: a wrong HTTP method or content type. The status is Connect's. */
function refuse(response: UniversalServerResponse, requestId: string): UniversalServerResponse {
  const { status } = response;
  const error = new DomainError(
    'ARGUMENT_INVALID',
    REFUSALS[status] ?? 'the request is not a call',
  );
  const problem = { ...toProblem(error, requestId), status };
  const header = new Headers(response.header);
  header.set('content-type', 'application/problem+json');
  return { ...response, header, body: once(new TextEncoder().encode(JSON.stringify(problem))) };
}

const REFUSALS: Readonly<Record<number, string>> = {
  405: 'this method is called with POST; GET is for methods without side effects',
  415: 'the content type is not one of Connect, gRPC or gRPC-Web with JSON or binary messages',
  505: 'this method streams both ways and needs HTTP/2',
};

async function completeUnary(
  response: UniversalServerResponse,
  body: AsyncIterable<Uint8Array>,
): Promise<UniversalServerResponse> {
  const bytes = await join(body);
  const error = errorFromJsonBytes(bytes, undefined, new ConnectError('unreadable error'));
  if (saysReason(error)) return { ...response, body: once(bytes) };
  const completed = errorToJsonBytes(toConnectError(error), undefined);
  const header = new Headers(response.header);
  header.set('content-length', String(completed.byteLength));
  return { ...response, status: toWireError(error).httpStatus, header, body: once(completed) };
}

function completeTrailer(trailer: Headers | undefined): void {
  if (trailer === undefined) return;
  const error = findTrailerError(trailer);
  if (error !== undefined && !saysReason(error)) setTrailerStatus(trailer, toConnectError(error));
}

function completeTrailerFrame(content: Uint8Array): Uint8Array {
  const trailer = trailerParse(content);
  completeTrailer(trailer);
  return trailerSerialize(trailer);
}

const endStream = createEndStreamSerialization(undefined);

function completeEndStream(content: Uint8Array): Uint8Array {
  const end = endStream.parse(content);
  if (end.error === undefined || saysReason(end.error)) return content;
  return endStream.serialize({ metadata: end.metadata, error: toConnectError(end.error) });
}

/** Replaces the content of the envelope with this flag; each chunk is one envelope. */
async function* replaceEnd(
  body: AsyncIterable<Uint8Array>,
  flag: number,
  replace: (content: Uint8Array) => Uint8Array,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    yield chunk[0] === flag ? encodeEnvelope(flag, replace(chunk.subarray(ENVELOPE_BYTES))) : chunk;
  }
}

async function* followed(
  body: AsyncIterable<Uint8Array>,
  then: () => void,
): AsyncIterable<Uint8Array> {
  yield* body;
  then();
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function join(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
