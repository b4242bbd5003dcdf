import {
  fromBinary,
  fromJsonString,
  toBinary,
  toJsonString,
  type DescMessage,
  type DescMethod,
  type Message,
} from '@bufbuild/protobuf';
import { errorToJson } from '@connectrpc/connect/protocol-connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';

import { DomainError, hasReason } from '../../errors/domain-error.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ProtocolName } from '../call.ts';
import type { Dispatcher } from '../dispatcher.ts';
import {
  createOrigin,
  type BriefAnswer,
  type FastifyReply,
  type FastifyRequest,
} from '../http/door.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { bodyTooLarge, readBody } from '../http/read-body.ts';
import { toConnectError, toWireError, unreadable } from '../mapping/error.ts';
import { DETAILS } from '../mapping/json-options.ts';

/** Answers a request when it is in a form the lean path knows; false when it is not, and untouched. */
export type LeanUnary = (request: FastifyRequest, reply: FastifyReply) => Promise<boolean>;

/** What one method needs. */
export interface LeanUnaryOptions {
  readonly dispatcher: Dispatcher;
  readonly method: DescMethod;
  readonly maxBodyBytes: number;
  readonly logger?: Logger | undefined;
}

/** How a form of request is read and answered. */
interface Form {
  readonly protocol: ProtocolName;
  decode(schema: DescMessage, body: Buffer): Message;
  succeed(reply: FastifyReply, schema: DescMessage, message: Message): void;
  fail(reply: FastifyReply, error: unknown): void;
}

/** Bytes before a gRPC message: a flag and its length. */
const PREFIX_BYTES = 5;

/** Creates the lean path of one method. */
export function createLeanUnary(options: LeanUnaryOptions): LeanUnary {
  const { dispatcher, method, maxBodyBytes, logger } = options;

  async function answer(form: Form, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const room = form.protocol === 'grpc' ? PREFIX_BYTES : 0;
    const body = await readBody(request.raw, maxBodyBytes + room).catch((error: unknown) => {
      throw hasReason(error, 'ARGUMENT_INVALID') ? bodyTooLarge(maxBodyBytes) : error;
    });
    const message = form.decode(method.input, body);
    const origin = createOrigin(request, form.protocol);
    const result = await dispatcher.dispatch(method, message, origin);
    // A unary method answers with one message.
    form.succeed(reply, method.output, result as Message);
  }

  return async (request, reply) => {
    const form = formOf(request);
    if (form === undefined) return false;
    reply.hijack();
    try {
      await answer(form, request, reply);
    } catch (error) {
      if (!(error instanceof DomainError)) {
        const stack = error instanceof Error ? error.stack : String(error);
        logger?.error('an answer could not be written', { requestId: request.id, stack });
      }
      form.fail(reply, error);
    }
    return true;
  };
}

function formOf({ method, headers }: FastifyRequest): Form | undefined {
  if (method !== 'POST') return undefined;
  switch (headers['content-type']) {
    case 'application/json':
    case 'application/json; charset=utf-8':
      return isPlain(headers['content-encoding']) ? CONNECT_JSON : undefined;
    case 'application/proto':
      return isPlain(headers['content-encoding']) ? CONNECT_BINARY : undefined;
    case 'application/grpc':
    case 'application/grpc+proto':
      return isPlain(headers['grpc-encoding']) ? GRPC : undefined;
    default:
      return undefined;
  }
}

function isPlain(encoding: string | readonly string[] | undefined): boolean {
  return encoding === undefined || encoding === 'identity';
}

const CONNECT_JSON: Form = {
  protocol: 'connect',
  decode: decodeJson,
  succeed(reply, schema, message) {
    const body = Buffer.from(toJsonString(schema, message, { registry: DETAILS }));
    sendConnect(reply, { status: 200, type: 'application/json', body });
  },
  fail: failConnect,
};

const CONNECT_BINARY: Form = {
  protocol: 'connect',
  decode: decodeBinary,
  succeed(reply, schema, message) {
    const body = toBinary(schema, message);
    sendConnect(reply, { status: 200, type: 'application/proto', body });
  },
  fail: failConnect,
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decodeJson(schema: DescMessage, body: Buffer): Message {
  let text;
  try {
    text = utf8.decode(body);
  } catch {
    // Replacement characters in its place would change what is stored.
    throw unreadable('the text is not UTF-8');
  }
  try {
    return fromJsonString(schema, text);
  } catch (error) {
    // It names the message and the field, and what is wrong with it.
    throw new DomainError('ARGUMENT_INVALID', messageOf(error));
  }
}

function decodeBinary(schema: DescMessage, body: Buffer): Message {
  try {
    return fromBinary(schema, body);
  } catch (error) {
    throw unreadable(messageOf(error));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

function sendConnect(reply: FastifyReply, { status, type, body }: Answer): void {
  const headers = { ...reply.getHeaders(), 'content-type': type, 'content-length': body.length };
  reply.raw.writeHead(status, headers as never);
  reply.raw.end(body);
}

/** Answers with an error as unary calls of Connect have it. */
export function failConnect(reply: FastifyReply, error: unknown): void {
  const { status, type, body } = connectAnswer(error);
  setRetryAfter(reply, toWireError(error));
  sendConnect(reply, { status, type, body: Buffer.from(body) });
}

/** The whole of such an answer. */
export function connectAnswer(error: unknown): BriefAnswer {
  const body = JSON.stringify(errorToJson(toConnectError(error), undefined));
  return { status: toWireError(error).httpStatus, type: 'application/json', body };
}

const GRPC_HEADERS = {
  'content-type': 'application/grpc+proto',
  'grpc-accept-encoding': 'gzip',
};

const GRPC: Form = {
  protocol: 'grpc',
  decode: (schema, body) => decodeBinary(schema, unwrap(body)),
  succeed(reply, schema, message) {
    const content = toBinary(schema, message);
    const body = Buffer.allocUnsafe(PREFIX_BYTES + content.length);
    body.writeUInt8(0, 0);
    body.writeUInt32BE(content.length, 1);
    body.set(content, PREFIX_BYTES);
    const { raw } = reply;
    raw.writeHead(200, { ...reply.getHeaders(), ...GRPC_HEADERS } as never);
    raw.addTrailers({ 'grpc-status': '0' });
    raw.end(body);
  },
  fail(reply, error) {
    const trailers = setTrailerStatus(new Headers(), toConnectError(error));
    const { raw } = reply;
    raw.writeHead(200, { ...reply.getHeaders(), ...GRPC_HEADERS } as never);
    raw.addTrailers(Object.fromEntries(trailers));
    raw.end();
  },
};

/** The one message of a unary call. */
function unwrap(body: Buffer): Buffer {
  if (body.length < PREFIX_BYTES)
    throw new DomainError('ARGUMENT_INVALID', 'the message is missing');
  if (body.readUInt8(0) !== 0) {
    throw new DomainError(
      'ARGUMENT_INVALID',
      'the message is compressed, but names no grpc-encoding',
    );
  }
  const length = body.readUInt32BE(1);
  if (body.length !== PREFIX_BYTES + length) {
    const found = String(body.length - PREFIX_BYTES);
    throw new DomainError(
      'ARGUMENT_INVALID',
      `a unary call has one message of ${String(length)} bytes, but ${found} bytes came`,
    );
  }
  return body.subarray(PREFIX_BYTES);
}
