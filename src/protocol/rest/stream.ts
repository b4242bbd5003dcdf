import { Readable } from 'node:stream';

import { isMessage, toJson, type DescMethod, type Message } from '@bufbuild/protobuf';

import { WatchResponseSchema } from '../../../gen/molten/v1/watch_pb.ts';
import type { FastifyReply } from '../http/door.ts';
import { toProblem } from '../mapping/error.ts';
import { REST_JSON } from '../mapping/json-options.ts';
import { eventName, toWatchJson } from '../mapping/watch-json.ts';

/** How the messages of a stream are written. */
interface StreamFormat {
  readonly type: string;
  readonly first: string;
  message(rpc: DescMethod, message: Message): string;
  problem(problem: unknown): string;
  /** What was written of messages: one that goes to many is made once, and kept once for all who do not take it. */
  readonly written: WeakMap<Message, Buffer>;
}

/** One JSON object a line; an error after the first is a last line with the member `error`. */
const LINES: StreamFormat = {
  type: 'application/x-ndjson',
  first: '',
  message: (rpc, message) => `${textOf(rpc, message)}\n`,
  written: new WeakMap(),
  problem: (problem) => `${JSON.stringify({ error: problem })}\n`,
};

const EMPTY = Buffer.alloc(0);

/** How long a browser waits before it connects again, in milliseconds. */
const RETRY_MS = 2000;

/**
 * Server-sent events (the HTML standard, section 9.2). A watch event carries its resume token as id, so
 * that a browser that reconnects sends it back as `Last-Event-ID`.
 */
const EVENTS: StreamFormat = {
  type: 'text/event-stream; charset=utf-8',
  first: `retry: ${String(RETRY_MS)}\n\n`,
  message: (rpc, message) => {
    const isWatch = isMessage(message, WatchResponseSchema);
    const id = isWatch && message.resumeToken !== '' ? `id: ${message.resumeToken}\n` : '';
    const event = isWatch ? `event: ${eventName(message)}\n` : '';
    return `${id}${event}data: ${textOf(rpc, message)}\n\n`;
  },
  written: new WeakMap(),
  problem: (problem) => `event: error\ndata: ${JSON.stringify(problem)}\n\n`,
};

/** Writes the messages of a call as they come: as events when the caller accepts them, else as lines. */
export async function sendStream(
  rpc: DescMethod,
  reply: FastifyReply,
  messages: AsyncIterable<Message>,
): Promise<FastifyReply> {
  const wantsEvents = reply.request.headers.accept?.includes('text/event-stream') === true;
  const format = wantsEvents ? EVENTS : LINES;
  const iterator = messages[Symbol.asyncIterator]();
  // The first is awaited before the headers go, so that an early error has a status of its own.
  const first = await iterator.next();
  const requestId = reply.request.id;

  async function* pieces(): AsyncIterable<string | Buffer> {
    let prefix = Buffer.from(format.first);
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) {
        const bytes = bytesOf(format, rpc, next.value);
        yield prefix.length === 0 ? bytes : Buffer.concat([prefix, bytes]);
        prefix = EMPTY;
      }
    } catch (error) {
      yield format.problem(toProblem(error, requestId));
    } finally {
      await iterator.return?.();
    }
  }

  // A proxy that collects before it passes on would hold up every event.
  reply.header('x-accel-buffering', 'no');
  return await reply.type(format.type).send(Readable.from(pieces(), { highWaterMark: 1 }));
}

function bytesOf(format: StreamFormat, rpc: DescMethod, message: Message): Buffer {
  let bytes = format.written.get(message);
  if (bytes === undefined) {
    bytes = Buffer.from(format.message(rpc, message));
    format.written.set(message, bytes);
  }
  return bytes;
}

function textOf(rpc: DescMethod, message: Message): string {
  return JSON.stringify(toStreamJson(rpc, message));
}

function toStreamJson(rpc: DescMethod, message: Message): unknown {
  return isMessage(message, WatchResponseSchema)
    ? toWatchJson(message)
    : toJson(rpc.output, message, REST_JSON);
}
