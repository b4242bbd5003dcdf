import type { CustomFetch } from 'openid-client';

import { isLoopback } from '../platform/loopback.ts';
import { unavailable } from './failures.ts';

/** Answers of an issuer are documents, keys and tokens: kilobytes. */
const ANSWER_BYTES_MAX = 1024 * 1024;
const SERVER_ERROR = 500;
const TOO_MANY_REQUESTS = 429;
/** Statuses whose answers must have no body. */
const BODILESS = [204, 205, 304];

/**
 * How an issuer is spoken to: over TLS, or in clear to this machine where that is allowed; bounded, and read
 * whole. PROVIDER_UNAVAILABLE for no answer, for one that never ends, and for one that says so.
 */
export function createFetch(
  provider: string,
  { allowInsecure }: { allowInsecure: boolean },
): CustomFetch {
  return async (url, { signal, body, ...options }) => {
    if (!isAllowed(url, allowInsecure)) throw unavailable(provider, 'has an address without TLS');
    try {
      const answer = await fetch(url, {
        ...options,
        ...(signal === undefined ? {} : { signal }),
        ...(body === undefined ? {} : { body }),
      });
      const { status, statusText, headers } = answer;
      const bytes = await readWhole(answer);
      if (status >= SERVER_ERROR || status === TOO_MANY_REQUESTS) {
        throw new Error(`it answered with the status ${status}`);
      }
      const content = BODILESS.includes(status) ? null : bytes;
      return new Response(content, { status, statusText, headers });
    } catch (error) {
      throw unavailable(provider, 'cannot be reached or failed; try again later', error);
    }
  };
}

/** Reports whether secrets may be sent to a URL. */
export function isAllowed(url: string, allowInsecure: boolean): boolean {
  const { protocol = '', hostname = '' } = URL.parse(url) ?? {};
  if (protocol === 'https:') return true;
  return protocol === 'http:' && allowInsecure && isLoopback(hostname);
}

async function readWhole(answer: Response): Promise<Buffer<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  // The type of a stream does not say what of; that of a response is always bytes.
  for await (const piece of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (length > ANSWER_BYTES_MAX) {
      throw new Error(`its answer has more than ${ANSWER_BYTES_MAX} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
