/**
 * Clients that take their time on purpose, over each kind of listener: all are cut off, and another client is
 * served all the while. Nothing here looks at a clock; what has a time limit is given a short one and waited for.
 */
import { connect } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CONNECTION_LIMITS } from '../../../src/protocol/http/one-port.ts';
import { certificate, privateKey } from '../../support/certificate.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import {
  askHttp2,
  openHttp2,
  openRaw,
  trustTestCertificate,
  whileOthersAreServed,
} from './attacker.ts';

const PUT = '/molten.v1.DocumentService/SetDocument';

trustTestCertificate();

const LISTENERS = [
  { listener: 'in cleartext', tls: undefined },
  { listener: 'by TLS', tls: { cert: certificate, key: privateKey } },
];

describe.each(LISTENERS)('a client that is slow on purpose $listener', ({ tls }) => {
  const TIMES = { headersTimeoutMs: 600, requestTimeoutMs: 1200, idleTimeoutMs: 1500 };
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ tls, connections: { ...CONNECTION_LIMITS, ...TIMES } });
    await server.rootToken();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  /** Sends a little again and again, until it is cut off. */
  async function drip(first: string | Buffer, piece: string | Buffer): Promise<string> {
    const raw = openRaw(server, { alpn: first.toString().startsWith('PRI') ? 'h2' : 'http/1.1' });
    raw.socket.write(first);
    const timer = setInterval(() => raw.socket.write(piece), 50);
    await raw.closed;
    clearInterval(timer);
    return raw.text();
  }

  const POST = 'POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';

  it.each([
    ['says nothing', '', ''],
    ['never ends its headers', 'GET /healthz HTTP/1.1\r\n', 'a: b\r\n'],
    ['never ends the preface of HTTP/2', 'PRI * HTTP/2.0\r\n', ''],
    ['never ends its body', `${POST}content-length: 1000000\r\n\r\n`, ' '],
    ['never ends its chunks', `${POST}transfer-encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
    ['keeps a connection without a request', 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n', ''],
  ])('and %s is cut off', async (...[, first, piece]) => {
    const { result: text } = await whileOthersAreServed(server, drip(first, piece));
    // By TLS the version is known before its preface, and the settings of HTTP/2 have been said.
    expect(text).not.toMatch(/^HTTP\/1\.1 (?!408 |200 )/);
  });

  it('and drips a body over HTTP/2 loses that stream, not the connection', async () => {
    using connection = await openHttp2(server.url);
    const headers = { ':method': 'POST', ':path': PUT, 'content-type': 'application/json' };
    const stream = connection.session.request(headers);
    stream.on('error', () => undefined);
    const timer = setInterval(() => stream.write(' '), 50);
    await new Promise((resolve) => stream.once('close', resolve));
    clearInterval(timer);
    expect(stream.rstCode).toBe(8);
    expect((await askHttp2(connection, { ':path': '/healthz' })).headers[':status']).toBe(200);
  });

  it('and never takes its answer is cut off, over both versions', async () => {
    const token = await server.rootToken();
    const text = 'x'.repeat(900_000);
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      const path = `/v1/collections/large/documents/${key}`;
      expect((await server.asRoot('PUT', path, { body: { fields: { text } } })).status).toBe(200);
    }
    const path = '/v1/collections/large/documents?pageSize=8';
    const raw = openRaw(server);
    raw.socket.pause();
    raw.socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\n\r\n`);
    using connection = await openHttp2(server.url);
    const stream = connection.session.request({ ':path': path, authorization: `Bearer ${token}` });
    stream.on('error', () => undefined);
    stream.pause();
    const ends = Promise.all([
      untilReset(raw.socket),
      new Promise((resolve) => stream.once('close', resolve)),
    ]);
    await whileOthersAreServed(server, ends);
    expect(stream.rstCode).toBe(8);
  });

  /** A paused socket sees its end only when it writes. */
  async function untilReset(socket: NodeJS.WritableStream & { destroyed: boolean }): Promise<void> {
    while (!socket.destroyed) {
      socket.write('\r\n');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
});

describe('a client that is slow with its handshake of TLS', () => {
  it('and says nothing is cut off', async () => {
    const connections = { ...CONNECTION_LIMITS, headersTimeoutMs: 600 };
    const tls = { cert: certificate, key: privateKey };
    await using server = await startTestServer({ tls, connections });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await whileOthersAreServed(server, closed);
    expect(socket.bytesRead).toBe(0);
  });
});
