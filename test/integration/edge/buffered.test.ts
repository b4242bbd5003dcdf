/** Bodies that do not end and answers that nobody takes: all together have a bound, and who has most is cut off first. */
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { connect as connectTls } from 'node:tls';

import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { AuthService } from '../../../gen/molten/v1/auth_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { toBody } from '../../../src/client/index.ts';
import { CONNECTION_LIMITS } from '../../../src/protocol/http/one-port.ts';
import { certificate, privateKey } from '../../support/certificate.ts';
import { parseMetrics, valueOf } from '../../support/prometheus.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

const MEBIBYTE = 1024 * 1024;
const BOUND = 32 * MEBIBYTE;
const TEXT = 'x'.repeat(900_000);
/** Some 16 MB, most of which no kernel takes. */
const DOCUMENTS = 17;
const PATH = `/v1/collections/large/documents?pageSize=${String(DOCUMENTS)}`;
const READERS = 6;
const BODY_BYTES = 9 * MEBIBYTE;

/** A request whose caller does as it likes. */
interface Exchange {
  /** Sends of its body. */
  readonly send: (chunk: Buffer) => void;
  /** Reads what comes, until the connection or the stream is closed; how many bytes it was. */
  readonly finish: () => Promise<number>;
}

type Open = (server: TestServer, request: Readonly<Record<string, string>>) => Exchange;

async function readAll(stream: Readable): Promise<number> {
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
  stream.resume();
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
  return bytes;
}

const http1 =
  (connectTo: (port: number) => Socket): Open =>
  ({ port }, { ':method': method = '', ':path': path = '', ...fields }) => {
    const socket = connectTo(port);
    socket.on('error', () => undefined).pause();
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
    const head = [`${method} ${path} HTTP/1.1`, 'host: a', 'connection: close', ...lines];
    socket.write([...head, '', ''].join('\r\n'));
    return {
      send: (chunk) => socket.write(chunk),
      finish: async () => await readAll(socket),
    };
  };

const http2: Open = ({ url }, headers) => {
  const session = connectHttp2(url);
  const stream = session.request(headers, { endStream: headers[':method'] === 'GET' });
  for (const one of [session, stream]) one.on('error', () => undefined);
  stream.pause();
  return {
    send: (chunk) => stream.write(chunk),
    async finish() {
      stream.end();
      const bytes = await readAll(stream);
      session.destroy();
      return bytes;
    },
  };
};

const WAYS: readonly [string, Open, object][] = [
  ['HTTP/1.1', http1((port) => connect(port, '127.0.0.1')), {}],
  [
    'HTTP/1.1 over TLS',
    http1((port) => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })),
    { tls: { cert: certificate, key: privateKey } },
  ],
  ['HTTP/2', http2, {}],
];

/** Writes the documents, whatever proves the server; the token of the root user. */
async function fill({ url }: TestServer): Promise<string> {
  const trusting = { rejectUnauthorized: false };
  const transport = createConnectTransport({
    ...{ baseUrl: url, httpVersion: '2', nodeOptions: trusting },
  });
  const { token } = await createClient(AuthService, transport).login(ROOT);
  const { setDocument } = createClient(DocumentService, transport);
  for (let n = 0; n < DOCUMENTS; n++) {
    await setDocument(
      { collection: 'large', key: String(n), body: toBody({ text: TEXT }) },
      { headers: { authorization: `Bearer ${token}` } },
    );
  }
  return token;
}

/** Starts a server with the bound, and what asks it how much there is, and how many it has cut off. */
async function startBounded(config: object): Promise<{
  readonly server: TestServer;
  readonly told: (name: 'bytes' | 'cut_total', kind: string) => Promise<number>;
}> {
  const server = await startTestServer({
    ...config,
    connections: { ...CONNECTION_LIMITS, bufferedBytesMax: BOUND },
    metrics: { host: '127.0.0.1', port: 0 },
  });
  return {
    server,
    async told(name, kind) {
      const text = await (await fetch(server.metricsUrl ?? '')).text();
      return valueOf(parseMetrics(text), `molten_buffered_${name}`, { kind });
    },
  };
}

describe.each(WAYS)('over %s', (_way, open, config) => {
  it('answers that nobody takes have a bound, beyond which readers are cut off', async () => {
    const { server, told } = await startBounded(config);
    await using _ = server;
    const authorization = `Bearer ${await fill(server)}`;
    const readers = Array.from({ length: READERS }, () =>
      open(server, { ':method': 'GET', ':path': PATH, authorization }),
    );
    await expect.poll(() => told('cut_total', 'answers')).toBeGreaterThanOrEqual(1);
    // All that was asked for is made: the rest of it fits.
    await expect.poll(() => told('bytes', 'answers')).toBeGreaterThan(BOUND / 2);
    const bytes = await Promise.all(readers.map(({ finish }) => finish()));
    const whole = bytes.filter((count) => count > DOCUMENTS * TEXT.length);
    expect(await told('cut_total', 'answers')).toBe(READERS - whole.length);
    expect(whole.length).toBeGreaterThanOrEqual(1);
    await expect.poll(() => told('bytes', 'answers')).toBe(0);
  });

  it.each(['/v1/sessions', '/molten.v1.AuthService/Login', '/login'])(
    'bodies of %s that do not end have a bound, beyond which callers are cut off',
    async (path) => {
      const { server, told } = await startBounded(config);
      await using _ = server;
      const body = Buffer.from(JSON.stringify({ username: 'x'.repeat(BODY_BYTES) }));
      const callers = Array.from({ length: READERS }, () =>
        open(server, {
          ...{ ':method': 'POST', ':path': path, 'content-type': 'application/json' },
          'content-length': String(body.length),
        }),
      );
      for (const { send } of callers) send(body.subarray(1));
      await expect.poll(() => told('cut_total', 'bodies')).toBeGreaterThanOrEqual(1);
      // All has come but what comes with the headers, so that nobody else is cut off.
      const missing = async (): Promise<number> => {
        const left = READERS - (await told('cut_total', 'bodies'));
        return left * (body.length - 1) - (await told('bytes', 'bodies'));
      };
      await expect.poll(missing).toBeLessThan(MEBIBYTE);
      for (const { send } of callers) send(body.subarray(0, 1));
      // Whoever is left is told that this is nothing.
      const bytes = await Promise.all(callers.map(({ finish }) => finish()));
      const answered = bytes.filter((count) => count > 0);
      expect(await told('cut_total', 'bodies')).toBe(READERS - answered.length);
      expect(answered.length).toBeGreaterThanOrEqual(1);
      await expect.poll(() => told('bytes', 'bodies')).toBe(0);
    },
  );
});
