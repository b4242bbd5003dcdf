/** Whatever arrives at the port is answered with a documented error or cut off, and the server lives on. */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

import type { DescMethod } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect } from 'vitest';

import fc from '../../support/fast-check.ts';
import { AdminService } from '../../../gen/molten/v1/admin_pb.ts';
import { CollectionService } from '../../../gen/molten/v1/collections_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { REASONS } from '../../../src/errors/reason.ts';
import { nameOf } from '../../../src/protocol/dispatcher.ts';
import { routesOf } from '../../../src/protocol/rest/route.ts';
import { fuzz, hostileJson, hostileNames, mutated } from '../../support/fuzz.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket } from '../../support/web-socket.ts';

const DOCUMENTED = REASONS.filter((reason) => reason !== 'INTERNAL');
/** What a caller can be told; never that the server failed. */
const STATUSES = [
  ...[
    200, 204, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 417, 429, 431, 499, 501, 503,
  ],
];
const OUR_FAULT = ['internal', 'unknown'];
/** A connection that is silent for so long is stuck. */
const SILENT_MS = 8000;

let server: TestServer;
let token = '';
beforeAll(async () => {
  server = await startTestServer();
  token = await server.rootToken();
  await server.asRoot('PUT', '/v1/collections/things/documents/a', { body: { fields: { n: 1 } } });
});
afterAll(async () => {
  await server.close();
});

async function expectAlive(): Promise<void> {
  expect((await server.request('GET', '/healthz')).status).toBe(200);
}

/** Sends bytes, then the end of the stream; all that comes back. */
function exchange(bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1');
    let answer = '';
    socket.setTimeout(SILENT_MS, () => {
      socket.destroy();
      reject(new Error(`nothing came for ${String(SILENT_MS)} ms after ${answer}`));
    });
    socket.on('data', (data) => (answer += data.toString('latin1')));
    // A server may cut off whom it does not understand.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(answer);
    });
    socket.end(bytes);
  });
}

describe('HTTP', () => {
  const start = fc.constantFrom(
    ...['GET /healthz HTTP/1.1', 'POST /molten.v1.DocumentService/GetDocument HTTP/1.1'],
    ...[
      'GET /v1/collections/things/documents/a HTTP/1.1',
      'PRI * HTTP/2.0',
      'GET //..%00/ HTTP/1.0',
    ],
    ...['OPTIONS * HTTP/1.1', 'GET http://[::1/ HTTP/1.1', 'TRACE / HTTP/1.1', 'GET /ws HTTP/1.1'],
  );
  const header = fc.constantFrom(
    ...['host: x', 'content-length: 5', 'content-length: -1', 'transfer-encoding: chunked'],
    ...['transfer-encoding: chunked, identity', 'expect: 100-continue', 'connection: upgrade'],
    ...['upgrade: websocket', 'sec-websocket-version: 13', 'content-encoding: gzip', ' folded: x'],
    ...['sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==', 'content-type: application/grpc+proto'],
    ...['content-type: application/json', 'x-timeout-ms: 1e9', `x-request-id: ${'x'.repeat(200)}`],
    ...[
      'cookie: __Host-molten=;;=',
      'authorization: Bearer ..',
      'x-api-key: mk_live_',
      'range: bytes=0-',
    ],
  );
  const request = fc
    .tuple(start, fc.array(header, { maxLength: 6 }), mutated(hostileJson()))
    .map(([line, headers, body]) => [line, ...headers, '', body].join('\r\n'));
  const bytes = fc.oneof(
    mutated(request).map((text) => Buffer.from(text, 'latin1')),
    fc.uint8Array({ maxLength: 200 }).map((raw) => Buffer.from(raw)),
  );
  fuzz('bytes on a connection', { given: bytes, quick: 150 }, async (raw) => {
    const answer = await exchange(raw);
    for (const [, status] of answer.matchAll(/HTTP\/1\.1 (\d{3}) [A-Z][A-Za-z ]*\r\n/g)) {
      if (status !== '100' && status !== '101') expect(STATUSES).toContain(Number(status));
    }
    await expectAlive();
  });

  const frame = fc.tuple(
    fc.nat(70_000),
    fc.nat(255),
    fc.nat(255),
    fc.uint8Array({ maxLength: 60 }),
  );
  fuzz(
    'frames of HTTP/2',
    { given: fc.array(frame, { maxLength: 6 }), quick: 80 },
    async (frames) => {
      const parts = frames.map(([length, type, flags, payload]) => {
        const head = Buffer.alloc(9);
        head.writeUIntBE(length % 2 === 0 ? payload.length : length, 0, 3);
        head.writeUInt8(type % 12, 3);
        head.writeUInt8(flags, 4);
        head.writeUInt32BE(type, 5);
        return Buffer.concat([head, payload]);
      });
      await exchange(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ...parts]));
      await expectAlive();
    },
  );
});

/** RPCs that end, and after which the others can still be called. */
const METHODS: readonly DescMethod[] = [DocumentService, CollectionService, AdminService]
  .flatMap((service): readonly DescMethod[] => service.methods)
  .filter(({ methodKind }) => methodKind === 'unary');
const method = fc.constantFrom(...METHODS);

/** A body whose members are those of the request, more or less. */
const forMethod = method.chain((one) => {
  const names = one.input.fields.map(({ jsonName }) => jsonName);
  const words = [...names, 'fields', 'json', 'things', 'a', '$set', '$inc', 'op', 'path', '/n'];
  return fc.tuple(fc.constant(one), fc.oneof(hostileJson(words), mutated(hostileJson(words))));
});

describe('REST', () => {
  const part = hostileNames(['things', 'a', '$users', 'a:batchSet', '..']);
  const asked = fc.tuple(
    forMethod,
    fc.array(part, { maxLength: 3 }),
    fc.array(fc.tuple(part, part)),
  );
  fuzz('requests', { given: asked, quick: 200 }, async ([[rpc, body], parts, parameters]) => {
    for (const { method: verb, template } of routesOf(rpc)) {
      let at = 0;
      const path = template.replaceAll(/\{[a-z_]+\}/g, () => encode(parts[at++] ?? 'things'));
      const query = parameters.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
      const options = { token, ...(verb === 'GET' ? {} : { body }) };
      const answer = await server.request(verb, `${path}?${query}`, options);
      expect(STATUSES).toContain(answer.status);
      if (answer.status >= 400) expect(DOCUMENTED).toContain(answer.body?.reason);
    }
    await expectAlive();
  });
});

/** Half of a pair of surrogates cannot stand in a URL. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

describe('Connect and gRPC', () => {
  fuzz('JSON', { given: forMethod, quick: 200 }, async ([rpc, body]) => {
    const answer = await server.request('POST', `/${nameOf(rpc)}`, { body, token });
    expect(STATUSES).toContain(answer.status);
    if (answer.status >= 400) expect(OUR_FAULT).not.toContain(answer.body?.code);
    await expectAlive();
  });

  const type = fc.constantFrom(
    'proto',
    'json',
    'connect+proto',
    'grpc-web+proto',
    'grpc-web-text',
    'x',
  );
  const binary = fc.tuple(method, type, fc.uint8Array({ maxLength: 80 }));
  fuzz('bytes', { given: binary, quick: 150 }, async ([rpc, kind, body]) => {
    const answer = await fetch(`${server.url}/${nameOf(rpc)}`, {
      ...{ method: 'POST', body: Buffer.from(body) },
      headers: { 'content-type': `application/${kind}`, authorization: `Bearer ${token}` },
    });
    expect(STATUSES).toContain(answer.status);
    expect(['13', '2']).not.toContain(answer.headers.get('grpc-status'));
    await answer.arrayBuffer();
    await expectAlive();
  });

  fuzz('messages of gRPC', { given: binary, quick: 100 }, async ([rpc, kind, body]) => {
    const session = connectHttp2(server.url);
    session.on('error', () => undefined);
    const stream = session.request({
      ...{
        ':method': 'POST',
        ':path': `/${nameOf(rpc)}`,
        'content-type': 'application/grpc+proto',
      },
      authorization: `Bearer ${token}`,
    });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(kind === 'x' ? 2 ** 31 : body.length, 1);
    prefix.writeUInt8(kind === 'json' ? 1 : 0, 0);
    stream.end(Buffer.concat([prefix, Buffer.from(body)]));
    const status = await new Promise((resolve) => {
      stream.on('response', (headers) => {
        if (headers['grpc-status'] !== undefined) resolve(headers['grpc-status']);
      });
      stream.on('trailers', (trailers) => {
        resolve(trailers['grpc-status']);
      });
      stream.on('error', () => undefined);
      stream.once('close', () => {
        resolve('cut');
      });
      stream.resume();
    });
    session.destroy();
    expect(['13', '2']).not.toContain(status);
    await expectAlive();
  });
});

describe('WebSocket', () => {
  const words = [
    'action',
    'AUTH',
    'SUBSCRIBE',
    'UNSUBSCRIBE',
    'ACK',
    'id',
    'targets',
    'resumeToken',
  ];
  const frames = fc.array(fc.oneof(hostileJson(words), mutated(hostileJson(words))), {
    maxLength: 8,
  });
  fuzz('frames of who is known', { given: frames, quick: 60 }, async (texts) => {
    await using socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`);
    socket.send({ action: 'AUTH', token, feed: false });
    await socket.find(({ status }) => status === 'authenticated');
    for (const text of texts) socket.sendRaw(text);
    // The answers come in order; this one is the last.
    socket.send({ action: 'UNSUBSCRIBE', id: 'the-end' });
    await socket.find(({ event, id }) => event === 'unsubscribed' && id === 'the-end');
    for (const { error } of socket.frames) {
      if (typeof error === 'object') expect(DOCUMENTED).toContain(error.reason);
    }
  });

  const raw = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 });
  fuzz('bytes after the handshake', { given: raw, quick: 60 }, async (chunks) => {
    const upgrade = [
      ...['GET /ws HTTP/1.1', 'host: x', 'connection: upgrade', 'upgrade: websocket'],
      ...['sec-websocket-version: 13', 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''],
    ].join('\r\n');
    const answer = await exchange(Buffer.concat([Buffer.from(upgrade), ...chunks]));
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    await expectAlive();
  });
});
