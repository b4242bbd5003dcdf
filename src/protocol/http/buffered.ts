/**
 * What is kept for callers who do not go on: bodies that are not complete, answers that nobody has taken. Each of them
 * has a bound; that all of them together have one is seen to here: whoever has most is cut off first.
 */
import type { IncomingMessage } from 'node:http';
import { constants, type Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

import { createRoster } from '../../platform/roster.ts';
import { every } from '../../platform/timers.ts';

/** Bodies of requests, and answers. */
export type BufferedKind = 'bodies' | 'answers';

/** What is kept, of all connections. */
export interface Buffered {
  /** How much it was at the last look, in bytes; of texts in characters. */
  bytes(kind: BufferedKind): number;
  /** Connections and streams cut off since the start. */
  cut(kind: BufferedKind): number;
  /** Counts the answers on a connection until it is closed; those of HTTP/2 are counted by stream. */
  readonly watchAnswers: (outlet: Socket | ServerHttp2Stream) => void;
  /** Tells of an answer that a stream is given piece by piece, as it takes them: all of it is kept until then. */
  holdAnswer(stream: ServerHttp2Stream, bytes: number): void;
  /** Counts what comes of a body, from before anybody reads it until its request is over. */
  watchBody(request: IncomingMessage | Http2ServerRequest): void;
  /** Ends the looks. */
  readonly close: () => void;
}

/** Something that is kept. */
interface Part {
  readonly kind: BufferedKind;
  readonly bytes: () => number;
  readonly cut: () => void;
}

interface KeptPart extends Part {
  /** It is not counted any more. */
  forget: () => void;
}

/** How often it is looked at, in milliseconds; between two looks there may be more. */
const LOOK_MS = 250;

/** Begins to look that no more than this is kept. */
export function boundBuffered(bytesMax: number): Buffered {
  const parts = createRoster<KeptPart>();
  const held = new WeakMap<ServerHttp2Stream, number>();
  const bytes = { bodies: 0, answers: 0 };
  const cut = { bodies: 0, answers: 0 };

  function look(): void {
    Object.assign(bytes, { bodies: 0, answers: 0 });
    for (const part of parts) bytes[part.kind] += part.bytes();
    if (bytes.bodies + bytes.answers > bytesMax) cutLargest();
  }

  function cutLargest(): void {
    for (const part of [...parts].sort((a, b) => b.bytes() - a.bytes())) {
      if (bytes.bodies + bytes.answers <= bytesMax) return;
      bytes[part.kind] -= part.bytes();
      cut[part.kind] += 1;
      part.forget();
      part.cut();
    }
  }

  function keep(part: Part, until: NodeJS.EventEmitter): void {
    const kept: KeptPart = { ...part, forget: () => undefined };
    kept.forget = parts.add(kept);
    until.once('close', kept.forget);
  }

  return {
    bytes: (kind) => bytes[kind],
    cut: (kind) => cut[kind],
    watchAnswers(outlet) {
      const waiting = (): number => outlet.writableLength;
      const all = 'id' in outlet ? () => Math.max(waiting(), held.get(outlet) ?? 0) : waiting;
      keep({ kind: 'answers', bytes: all, cut: cutterOf(outlet) }, outlet);
    },
    holdAnswer(stream, bytesOfIt) {
      held.set(stream, bytesOfIt);
    },
    watchBody(request) {
      let come = 0;
      const push = request.push.bind(request);
      // Nothing else tells of what comes without taking it from who is to read it.
      request.push = (chunk: Buffer | null, encoding) => {
        come += chunk?.length ?? 0;
        return push(chunk, encoding);
      };
      const outlet = 'stream' in request ? request.stream : request.socket;
      keep({ kind: 'bodies', bytes: () => come, cut: cutterOf(outlet) }, request);
    },
    close: every(LOOK_MS, look),
  };
}

/** Over HTTP/2 only the stream ends, not the connection that others share. */
function cutterOf(outlet: Socket | ServerHttp2Stream): () => void {
  return () => {
    if ('id' in outlet) outlet.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else outlet.destroy();
  };
}
