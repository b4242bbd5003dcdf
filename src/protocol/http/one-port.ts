/**
 * One cleartext port for HTTP/1.1 and HTTP/2: the first bytes of a connection tell which it speaks.
 * HTTP/2 without TLS starts with a fixed preface (RFC 9113 section 3.4); nothing in HTTP/1.1 does.
 */
import {
  createServer as createHttp1Server,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
} from 'node:http';
import {
  constants,
  createSecureServer,
  createServer as createHttp2Server,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TLSSocket } from 'node:tls';

import { createRoster } from '../../platform/roster.ts';
import { after, every } from '../../platform/timers.ts';
import { boundBuffered, type Buffered } from './buffered.ts';
import { capConnections, type Connections } from './connections.ts';

/** Handles requests of either version. */
export type RequestHandler = RequestListener;

/** Takes a connection that asks to speak another protocol. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Bounds of connections, in milliseconds and bytes. */
export interface ConnectionLimits {
  /** Until the headers of a request, or the first bytes of a connection, are complete. */
  readonly headersTimeoutMs: number;
  /** Until a whole request is there. */
  readonly requestTimeoutMs: number;
  /** Between two requests of one connection, and while a peer takes nothing of its answer. */
  readonly idleTimeoutMs: number;
  readonly headerBytesMax: number;
  readonly urlCharsMax: number;
  /** Open connections in all, and of one IPv4 address or IPv6 /64. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** Requests at once on one HTTP/2 connection. */
  readonly streamsMax: number;
  /** What is kept of bodies that are not complete and answers that nobody has taken, of all connections. */
  readonly bufferedBytesMax: number;
}

/** What both kinds of server need. */
export interface PortOptions {
  readonly limits: ConnectionLimits;
  readonly onUpgrade: UpgradeHandler;
  /** Whose connections are those of many callers. */
  readonly isProxy: (address: string) => boolean;
}

/** What proves the server, and, where clients must prove themselves, whom it believes. */
export interface TlsMaterial {
  /** The certificate chain and its key, in PEM. */
  readonly cert: string;
  readonly key: string;
  /** Absent: clients are asked for no certificate. */
  readonly clients?: ClientCertificates | undefined;
}

/** Which certificates of clients are taken. */
export interface ClientCertificates {
  /** The authorities that sign them, in PEM. */
  readonly ca: string;
  /** A client without one is turned away. */
  readonly isRequired: boolean;
}

/** A server that can be listened to, and its connections. */
export interface Port {
  readonly server: Server;
  readonly connections: Connections;
  readonly buffered: Buffered;
}

/** The limits of a server that was told nothing else. */
export const CONNECTION_LIMITS: ConnectionLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  idleTimeoutMs: 72_000,
  headerBytesMax: 32 * 1024,
  urlCharsMax: 8192,
  connectionsMax: 10_000,
  connectionsPerAddressMax: 1000,
  streamsMax: 256,
  bufferedBytesMax: 256 * 1024 * 1024,
};

/** The oldest TLS that is spoken. */
export const TLS_VERSION_MIN = 'TLSv1.2';

/**
 * Streams that a peer may reset at once, and per second after that: beyond it the connection ends (rapid
 * reset, CVE-2023-44487). A client that leaves takes its streams with it and is no more than `streamsMax`.
 */
const RESETS = { streamResetBurst: 1000, streamResetRate: 33 };

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** A cleartext server for both versions, in the shape that Fastify drives. */
export function createCleartextServer(
  handler: RequestHandler,
  { limits, onUpgrade, isProxy }: PortOptions,
): Port {
  const http1 = createHttp1Server(http1Options(limits), handler);
  http1.on('upgrade', onUpgrade);
  const http2 = createHttp2Server({ settings: http2Settings(limits), ...RESETS });
  bound(http1, limits);
  /** Connections that have not said yet what they speak. */
  const silent = createRoster<Socket>();
  const server = createNetServer((socket) => {
    const leave = silent.add(socket);
    socket.once('close', leave);
    socket.on('error', () => socket.destroy());
    socket.setTimeout(limits.headersTimeoutMs, () => socket.destroy());
    recognise(socket, Buffer.alloc(0), (isHttp2) => {
      leave();
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      (isHttp2 ? http2 : http1).emit('connection', socket);
    });
  });
  // The inner server never listens; it is told, because it starts to watch its timeouts then.
  server.once('listening', () => http1.emit('listening'));
  server.once('close', () => http1.close());
  // Node gives requests of HTTP/2 the same shape.
  http2.on('request', handler as never);
  return asPort(server, { http1, http2, limits, silent, isProxy, opened: 'connection' });
}

/** A TLS server for both versions, agreed by ALPN (RFC 7301). */
export function createTlsServer(
  handler: RequestHandler,
  { tls, limits, onUpgrade, isProxy }: PortOptions & { readonly tls: TlsMaterial },
): Port {
  const options: SecureServerOptions = {
    ...{ ...http1Options(limits), ...secureContext(tls), ...RESETS, allowHTTP1: true },
    handshakeTimeout: limits.headersTimeoutMs,
    settings: http2Settings(limits),
    ...(tls.clients && { requestCert: true, rejectUnauthorized: tls.clients.isRequired }),
  };
  const server = createSecureServer(options, handler as never);
  // One that is shown must be good, also where none is demanded.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    const isShown = tls.clients !== undefined && socket.getPeerX509Certificate() !== undefined;
    if (isShown && !socket.authorized) socket.destroy();
  });
  // Node serves HTTP/1.1 here with the methods of its HTTP/1.1 server, which its types do not say.
  const http1 = server as unknown as Http1Part;
  bound(http1, limits);
  server.on('upgrade', onUpgrade);
  server.on('tlsClientError', (_error: Error, socket: Socket) => {
    socket.destroy();
  });
  return asPort(server, { http1, http2: server, limits, isProxy, opened: 'secureConnection' });
}

/** What of TLS can change while a server runs. */
export function secureContext({ cert, key, clients }: TlsMaterial): SecureContextOptions {
  return { cert, key, minVersion: TLS_VERSION_MIN, ...(clients && { ca: clients.ca }) };
}

/** What a server of HTTP/1.1 is told and asked here. */
type Http1Part = Pick<
  Server,
  'headersTimeout' | 'requestTimeout' | 'keepAliveTimeout' | 'closeIdleConnections'
> &
  Pick<NodeJS.EventEmitter, 'on'> & { connectionsCheckingInterval?: number };

/** How often Node looks for connections over their time, as a share of the shortest of them. */
const CHECKS_PER_TIMEOUT = 2;

function bound(http1: Http1Part, limits: ConnectionLimits): void {
  http1.headersTimeout = limits.headersTimeoutMs;
  http1.requestTimeout = limits.requestTimeoutMs;
  http1.keepAliveTimeout = limits.idleTimeoutMs;
  http1.connectionsCheckingInterval = Math.ceil(limits.headersTimeoutMs / CHECKS_PER_TIMEOUT);
}

function http1Options(limits: ConnectionLimits): ServerOptions {
  return {
    maxHeaderSize: limits.headerBytesMax,
    // Others, such as `h2c`, are offers that HTTP/1.1 may leave aside.
    shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
  };
}

function http2Settings(limits: ConnectionLimits): Settings {
  return { maxConcurrentStreams: limits.streamsMax, maxHeaderListSize: limits.headerBytesMax };
}

/** Reads until it is clear which version a connection speaks, and puts back what was read. */
function recognise(socket: Socket, before: Buffer, decide: (isHttp2: boolean) => void): void {
  socket.once('readable', () => {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) {
      if (!socket.destroyed && !socket.readableEnded) recognise(socket, before, decide);
      return;
    }
    const bytes = Buffer.concat([before, chunk]);
    const known = Math.min(bytes.length, PREFACE.length);
    const mayBeHttp2 = bytes.subarray(0, known).equals(PREFACE.subarray(0, known));
    if (mayBeHttp2 && known < PREFACE.length) {
      recognise(socket, bytes, decide);
      return;
    }
    socket.unshift(bytes);
    decide(mayBeHttp2);
  });
}

interface Parts extends Pick<PortOptions, 'limits' | 'isProxy'> {
  readonly http1: Http1Part;
  readonly http2: NodeJS.EventEmitter;
  readonly silent?: Iterable<Socket>;
  /** Tells of connections that may be written to. */
  readonly opened: 'connection' | 'secureConnection';
}

/** Gives a server the methods by which Fastify closes connections, for both versions. */
function asPort(server: NetServer, parts: Parts): Port {
  const { http1, http2, limits, silent, isProxy } = parts;
  const connections = capConnections(server, { ...limits, isProxy });
  cutStalled(server, http1, limits);
  const buffered = boundAnswers(server, parts);
  const sessions = createRoster<ServerHttp2Session>();
  const closeIdleHttp1 = http1.closeIdleConnections.bind(http1);
  http2.on('session', (session: ServerHttp2Session) => {
    session.once('close', sessions.add(session));
    boundSession(session, limits);
  });
  const methods = {
    setTimeout: () => server,
    closeIdleConnections() {
      closeIdleHttp1();
      for (const socket of silent ?? []) socket.destroy();
      // A session told to close takes no new streams and ends with its last one.
      for (const session of sessions) session.close();
    },
    closeAllConnections() {
      for (const session of sessions) session.destroy();
      connections.destroyAll();
    },
  };
  return { server: Object.assign(server, methods) as unknown as Server, connections, buffered };
}

/** Counts the answers of every connection and stream. */
function boundAnswers(server: NetServer, { http2, limits, opened }: Parts): Buffered {
  const buffered = boundBuffered(limits.bufferedBytesMax);
  server.on(opened, buffered.watchAnswers);
  http2.on('stream', buffered.watchAnswers);
  server.once('close', buffered.close);
  return buffered;
}

/** A connection of HTTP/1.1. */
interface Taker {
  readonly socket: Socket;
  /** Bytes of its answers that it had taken at the last look; undefined: all. */
  taken: number | undefined;
}

/** Over HTTP/1.1 cuts off whoever takes nothing of an answer from one look to the next. */
function cutStalled(
  server: NetServer,
  http1: Http1Part,
  { idleTimeoutMs }: ConnectionLimits,
): void {
  const known = new WeakSet<Socket>();
  const connections = createRoster<Taker>();
  http1.on('request', ({ socket, httpVersionMajor }: IncomingMessage) => {
    if (httpVersionMajor > 1 || known.has(socket)) return;
    known.add(socket);
    socket.once('close', connections.add({ socket, taken: undefined }));
  });
  const stop = every(idleTimeoutMs, () => {
    for (const connection of connections) {
      const { socket, taken } = connection;
      const waits = socket.writableLength > 0;
      const now = waits ? socket.bytesWritten - socket.writableLength : undefined;
      if (waits && now === taken) socket.destroy();
      else connection.taken = now;
    }
  });
  server.once('close', stop);
}

/** HTTP/2 has no timeouts of its own in Node: idle sessions end, and so do requests that never do. */
function boundSession(session: ServerHttp2Session, limits: ConnectionLimits): void {
  let streams = 0;
  session.on('stream', (stream: ServerHttp2Stream) => {
    streams += 1;
    const stopDeadline = stream.endAfterHeaders ? undefined : endLate(stream, limits);
    stream.once('close', () => {
      streams -= 1;
      stopDeadline?.();
    });
    // Without progress for as long, and something to be taken.
    stream.setTimeout(limits.idleTimeoutMs, () => {
      if (stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL);
    });
  });
  session.setTimeout(limits.idleTimeoutMs, () => {
    if (streams === 0) session.close();
  });
}

/** Ends a request that is not whole in time, however steadily it drips. */
function endLate(stream: ServerHttp2Stream, { requestTimeoutMs }: ConnectionLimits): () => void {
  return after(requestTimeoutMs, () => {
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
  });
}
