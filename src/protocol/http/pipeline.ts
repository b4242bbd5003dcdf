/**
 * Requests of one HTTP/1.1 connection that come before those ahead of them are answered. They are worked on
 * one after the other, as they were sent (RFC 9112 section 9.3.2), so that a client that reads nothing has one
 * answer made and kept. Over HTTP/2 there is `streamsMax`.
 */
import type { Socket } from 'node:net';

import type { FastifyReply, FastifyRequest } from 'fastify';

import { DomainError } from '../../errors/domain-error.ts';

/**
 * Waits until a request may begin. RATE_LIMITED beyond 16 of a connection that have no answer, CANCELED when
 * it ends first.
 */
export type AwaitTurn = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/** Of one connection. */
interface Line {
  /** Whether one is worked on. */
  isBusy: boolean;
  readonly waiting: (() => void)[];
}

const PIPELINED_MAX = 16;
const RETRY_MS = 1000;

/** Creates the lines of a server. */
export function createPipeline(): AwaitTurn {
  const lines = new WeakMap<Socket, Line>();

  function lineOf(socket: Socket): Line {
    const known = lines.get(socket);
    if (known !== undefined) return known;
    const line: Line = { isBusy: false, waiting: [] };
    lines.set(socket, line);
    socket.once('close', () => {
      for (const begin of line.waiting.splice(0)) begin();
    });
    return line;
  }

  return async ({ raw }, reply) => {
    if (raw.httpVersionMajor > 1) return;
    const { socket } = raw;
    const line = lineOf(socket);
    if (line.isBusy) {
      if (line.waiting.length + 1 >= PIPELINED_MAX) throw tooMany();
      await new Promise<void>((resolve) => line.waiting.push(resolve));
      if (socket.destroyed) throw new DomainError('CANCELED', 'the connection ended first');
    }
    line.isBusy = true;
    reply.raw.once('close', () => {
      const next = line.waiting.shift();
      // Whoever is next is busy from now on, before it runs.
      line.isBusy = next !== undefined;
      next?.();
    });
  };
}

function tooMany(): DomainError {
  const limit = String(PIPELINED_MAX);
  return new DomainError(
    'RATE_LIMITED',
    `more than ${limit} requests of this connection wait for their answers; read those first, or open more connections`,
    { metadata: { limit, policy: 'pipeline' }, retryAfterMs: RETRY_MS },
  );
}
