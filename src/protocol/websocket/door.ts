import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { WebSocketServer, type RawData, type WebSocket } from 'ws';

import type { DomainError } from '../../errors/domain-error.ts';
import { after, every } from '../../platform/timers.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { countRequest, type AddressLimit } from '../http/address-limit.ts';
import type { AddressOf } from '../http/client-address.ts';
import { headerOf, requestIdOf, REQUEST_ID_HEADER } from '../http/door.ts';
import type { UpgradeHandler } from '../http/one-port.ts';
import { createSession, type Session } from './session.ts';

/** What the door needs. */
export interface WebSocketDoorOptions {
  readonly dispatcher: Dispatcher;
  /** Origins of browsers that may connect now besides the server's own. `*`: all. */
  readonly corsOrigins: () => readonly string[];
  /** Where connections come from. */
  readonly addressOf: AddressOf;
  /** Defined: no connection is taken now. Absent: all are. */
  readonly admit?: () => DomainError | undefined;
  /** How much each address may ask. */
  readonly addressLimit: AddressLimit;
  readonly times?: Partial<WebSocketTimes>;
}

/** Bounds of a connection, in milliseconds. */
export interface WebSocketTimes {
  /** Until the caller is known, by a header or an AUTH frame. */
  readonly authMs: number;
  /** Between two pings; a connection that does not answer one before the next is cut. */
  readonly pingMs: number;
}

const WEB_SOCKET_PATH = '/ws';
const TIMES: WebSocketTimes = { authMs: 10_000, pingMs: 15_000 };
/** No frame that a client sends needs more. */
const FRAME_BYTES_MAX = 256 * 1024;
/** Frames of one connection that wait to be looked at. */
const WAITING_FRAMES_MAX = 100;
const MS_PER_SECOND = 1000;
const POLICY_VIOLATION = 1008;
const OPEN = 1;

/** Takes WebSocket handshakes (RFC 6455) for `/ws`, and refuses those for anything else. */
export interface WebSocketDoor {
  readonly onUpgrade: UpgradeHandler;
  /** Takes no more, and closes each connection when its watches have ended. */
  stop(): void;
}

/** Creates the door. */
export function createWebSocketDoor(options: WebSocketDoorOptions): WebSocketDoor {
  const sessions = new Set<Session>();
  let isStopping = false;
  const server = new WebSocketServer({
    ...{ noServer: true, maxPayload: FRAME_BYTES_MAX, perMessageDeflate: false },
    clientTracking: false,
  });
  const onUpgrade: UpgradeHandler = (request, socket, head) => {
    const refusal = isStopping ? UNAVAILABLE : refusalOf(request, options);
    if (refusal !== undefined) {
      refuse(socket, refusal);
      return;
    }
    server.handleUpgrade(request, socket, head, (connection) => {
      const session = serve(connection, request, options);
      sessions.add(session);
      connection.once('close', () => sessions.delete(session));
    });
  };
  return {
    onUpgrade,
    stop() {
      isStopping = true;
      for (const session of sessions) void session.stop();
    },
  };
}

/** A page of another origin could use what the browser knows; programs send no origin at all. */
function isOriginAllowed({ headers }: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true;
  return origin === `http://${host ?? ''}` || origin === `https://${host ?? ''}`;
}

/** How a handshake is refused. */
interface Refusal {
  readonly status: string;
  /** Seconds until it may come again. */
  readonly retryAfter?: number;
}

const UNAVAILABLE: Refusal = { status: '503 Service Unavailable' };

/** A handshake is a request like every other, and counts as one also when it is no good. */
function refusalOf(
  request: IncomingMessage,
  { admit, addressOf, addressLimit, corsOrigins }: WebSocketDoorOptions,
): Refusal | undefined {
  if (admit?.() !== undefined) return { ...UNAVAILABLE, retryAfter: 1 };
  const isHere = request.url?.split('?', 1)[0] === WEB_SOCKET_PATH;
  const beyondLimit = countRequest(addressLimit, {
    address: addressOf(request),
    requestId: requestIdOf(request.headers[REQUEST_ID_HEADER]),
    route: isHere ? WEB_SOCKET_PATH : '',
  })?.refusal;
  if (beyondLimit !== undefined) {
    const retryAfter = Math.ceil((beyondLimit.retryAfterMs ?? 0) / MS_PER_SECOND);
    return { status: '429 Too Many Requests', retryAfter };
  }
  if (!isHere) return { status: '404 Not Found' };
  return isOriginAllowed(request, corsOrigins()) ? undefined : { status: '403 Forbidden' };
}

function refuse(socket: Duplex, { status, retryAfter }: Refusal): void {
  const fields = retryAfter === undefined ? '' : `retry-after: ${String(retryAfter)}\r\n`;
  socket.end(`HTTP/1.1 ${status}\r\n${fields}connection: close\r\ncontent-length: 0\r\n\r\n`);
}

function serve(
  connection: WebSocket,
  request: IncomingMessage,
  { dispatcher, addressOf, addressLimit, admit, times }: WebSocketDoorOptions,
): Session {
  const { authMs, pingMs } = { ...TIMES, ...times };
  const { send } = createSender(connection);
  const requestId = requestIdOf(request.headers[REQUEST_ID_HEADER]);
  const frame = { address: addressOf(request), requestId, route: WEB_SOCKET_PATH };
  const session = createSession(dispatcher, {
    ...{ requestId, address: frame.address },
    count: () => countRequest(addressLimit, frame)?.refusal,
    admit: () => admit?.(),
    header: (name) => headerOf(request, name),
    send,
    close: (code) => {
      connection.close(code);
    },
    terminate: () => {
      connection.terminate();
    },
  });
  receive(connection, session);
  const stopDeadline = after(authMs, () => {
    if (session.isAuthenticated) return;
    const detail = `no AUTH frame came within ${String(authMs)} ms`;
    void send({ error: 'auth_timeout', detail });
    connection.close(POLICY_VIOLATION);
  });
  const stopPings = keepAlive(connection, session, pingMs);
  connection.once('close', () => {
    stopDeadline();
    stopPings();
    session.closed();
  });
  // What goes wrong with a connection closes it, and that is all there is to do.
  connection.on('error', () => {
    connection.terminate();
  });
  return session;
}

/** Hands frames over one after the other, behind the handshake. */
function receive(connection: WebSocket, session: Session): void {
  let queue = session.begin().catch(() => {
    connection.terminate();
  });
  let waiting = 0;
  connection.on('message', (data: RawData, isBinary: boolean) => {
    waiting += 1;
    if (waiting > WAITING_FRAMES_MAX) {
      connection.terminate();
      return;
    }
    const text = isBinary ? undefined : textOf(data);
    queue = queue
      .then(() => session.receive(text))
      .catch(() => {
        connection.terminate();
      })
      .finally(() => {
        waiting -= 1;
      });
  });
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8');
}

function keepAlive(connection: WebSocket, session: Session, pingMs: number): () => void {
  let isAlive = true;
  connection.on('pong', () => {
    isAlive = true;
  });
  return every(pingMs, () => {
    if (!isAlive) {
      connection.terminate();
      return;
    }
    isAlive = false;
    connection.ping();
    session.recheck().catch(() => {
      connection.terminate();
    });
  });
}

/** Sends frames and knows when they have left. */
interface Sender {
  readonly send: (frame: object) => Promise<void>;
}

function createSender(connection: WebSocket): Sender {
  const waiting = new Set<() => void>();
  // A connection that is cut while it is full never calls back.
  connection.once('close', () => {
    for (const finish of waiting) finish();
  });
  return {
    send: (frame) =>
      new Promise((resolve) => {
        if (connection.readyState !== OPEN) {
          resolve();
          return;
        }
        const finish = (): void => {
          waiting.delete(finish);
          resolve();
        };
        waiting.add(finish);
        connection.send(JSON.stringify(frame), finish);
      }),
  };
}
