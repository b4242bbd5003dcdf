import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Readable } from 'node:stream';

import type { FastifyInstance } from 'fastify';

import { DomainError } from '../../errors/domain-error.ts';
import { HttpRefusal } from './refusal.ts';

/** Makes a door say so when a body is packed: it would be taken for something broken. */
export function refusePacked(app: FastifyInstance): void {
  app.addHook('preParsing', async ({ headers }) => {
    const encoding = headers['content-encoding'];
    if (encoding === undefined || encoding === 'identity') return;
    throw new HttpRefusal(415, `bodies are taken as they are, and this one is '${encoding}'`, {
      encoding,
    });
  });
}

/**
 * Reads a whole request body. ARGUMENT_INVALID as soon as more than `maxBytes` have come, whatever the
 * headers announced; CANCELED when the caller goes away first. After a refusal as much again is thrown
 * away, so that the answer gets through, and then the connection is given up.
 */
export function readBody(stream: Readable, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      if (length > 2 * maxBytes) giveUp(stream);
      reject(bodyTooLarge(maxBytes));
    });
    stream.once('end', () => {
      const [first] = chunks;
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, length));
    });
    const goAway = (): void => {
      reject(new DomainError('CANCELED', 'the caller went away before its request was complete'));
    };
    stream.once('error', goAway);
    stream.once('aborted', goAway);
    stream.once('close', goAway);
  });
}

/** Over HTTP/2 the answer has gone by now, and the stream ends without an error (RFC 9113 section 8.1). */
function giveUp(request: Readable): void {
  if ('stream' in request) (request.stream as ServerHttp2Stream).close(constants.NGHTTP2_NO_ERROR);
  else request.destroy();
}

/** The error for a body beyond its bound. */
export function bodyTooLarge(maxBytes: number): DomainError {
  const limit = maxBytes.toString();
  return new DomainError(
    'ARGUMENT_INVALID',
    `the body is larger than ${limit} bytes; send less at once`,
    { metadata: { limit } },
  );
}
