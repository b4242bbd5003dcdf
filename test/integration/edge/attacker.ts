import { once } from 'node:events';
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, getCACertificates, setDefaultCACertificates } from 'node:tls';

import { certificate } from '../../support/certificate.ts';
import type { TestServer } from '../../support/server.ts';

/** What came back over a raw connection. */
export interface RawConnection {
  readonly socket: Socket;
  /** All that was received so far. */
  readonly text: () => string;
  /** Resolves when the connection is closed, by whomever. */
  readonly closed: Promise<void>;
}

/** Makes every client of this process believe servers with the certificate of the tests. */
export function trustTestCertificate(): void {
  setDefaultCACertificates([...getCACertificates(), certificate]);
}

/** Opens a TCP connection, with TLS in it where the server speaks that; `from` is the address it comes from. */
export function openRaw(
  server: Pick<TestServer, 'port'> & { readonly url?: string },
  {
    from = '127.0.0.1',
    alpn = 'http/1.1',
  }: { readonly from?: string; readonly alpn?: string } = {},
): RawConnection {
  const place = { port: server.port, host: '127.0.0.1', localAddress: from };
  const hasTls = server.url?.startsWith('https:') === true;
  const socket = hasTls ? connectTls({ ...place, ALPNProtocols: [alpn] }) : connect(place);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // What the server does to a connection is what is looked at.
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      resolve();
    });
  });
  return { socket, closed, text: () => Buffer.concat(chunks).toString('latin1') };
}

/** Sends a text over a connection of its own and returns everything that comes until the server closes it. */
export async function exchange(
  server: Pick<TestServer, 'port'>,
  text: string | Buffer,
): Promise<string> {
  const raw = openRaw(server);
  raw.socket.write(text);
  await raw.closed;
  return raw.text();
}

/** Writes until the server has had enough; how many bytes it was sent. */
export async function flood(raw: RawConnection, piece: Buffer, bytesMax: number): Promise<number> {
  let sent = 0;
  while (!raw.socket.destroyed && raw.socket.writable && sent < bytesMax) {
    sent += piece.length;
    if (raw.socket.write(piece)) await new Promise(setImmediate);
    else await Promise.race([drained(raw.socket), raw.closed]);
  }
  return sent;
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', () => {
      resolve();
    });
  });
}

/** An HTTP/2 connection. */
export interface Http2Connection extends Disposable {
  readonly session: ClientHttp2Session;
}

/** Opens one, and waits until the server has said its settings. */
export async function openHttp2(url: string): Promise<Http2Connection> {
  const connection = connectEarly(url);
  await once(connection.session, 'remoteSettings');
  return connection;
}

/** Opens one whose first requests are sent before that. */
export function connectEarly(url: string): Http2Connection {
  const session = connectHttp2(url);
  session.on('error', () => undefined);
  return {
    session,
    [Symbol.dispose]() {
      session.destroy();
    },
  };
}

/** The answer to one request over HTTP/2. */
export interface Http2Answer {
  headers: OutgoingHttpHeaders;
  trailers: OutgoingHttpHeaders;
  readonly body: Buffer;
  /** 0: it ended well. */
  readonly resetCode: number;
}

/** Sends a request over HTTP/2 and waits for the end of its stream. */
export async function askHttp2(
  { session }: Http2Connection,
  headers: OutgoingHttpHeaders,
  body?: Buffer,
): Promise<Http2Answer> {
  const stream = session.request(headers);
  const answer: Pick<Http2Answer, 'headers' | 'trailers'> = { headers: {}, trailers: {} };
  const chunks: Buffer[] = [];
  stream.on('response', (given: OutgoingHttpHeaders) => {
    answer.headers = given;
  });
  stream.on('trailers', (given: OutgoingHttpHeaders) => {
    answer.trailers = given;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => undefined);
  stream.end(body);
  await new Promise<void>((resolve) => {
    stream.once('close', resolve);
  });
  const resetCode: number = stream.rstCode;
  return { ...answer, body: Buffer.concat(chunks), resetCode };
}

/** One frame of HTTP/2 (RFC 9113 section 4.1). */
export function frame(
  type: number,
  { flags = 0, stream = 0, payload = Buffer.alloc(0) }: FrameParts = {},
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

interface FrameParts {
  readonly flags?: number;
  readonly stream?: number;
  readonly payload?: Buffer;
}

/** What starts a connection of HTTP/2: the preface and empty settings. */
export const HTTP2_START: Buffer = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(4),
]);

/** Requests of the other client at once, so that several are under way in an attack that is soon over. */
const OTHERS = 4;

/** Asks as somebody else would, until `attack` is over; fails when one answer is not as it should be. */
export async function whileOthersAreServed<T>(
  server: TestServer,
  attack: Promise<T>,
): Promise<{ readonly result: T; readonly served: number }> {
  const token = await server.rootToken();
  const progress = { isOver: false };
  const over = attack.finally(() => (progress.isOver = true));
  const headers = { 'x-forwarded-for': '203.0.113.200' };
  let served = 0;
  do {
    const answers = await Promise.all(
      Array.from({ length: OTHERS }, () => server.request('GET', '/v1/status', { token, headers })),
    );
    const bad = answers.find(({ status }) => status !== 200);
    if (bad !== undefined) throw new Error(`another client was answered ${String(bad.status)}`);
    served += answers.length;
  } while (!progress.isOver);
  return { result: await over, served };
}

/** A number as protobuf writes lengths. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
