/**
 * What is sent to break a server: each time it is refused as documented, and another client is served all
 * the while. Nothing here looks at a clock; what has a time limit is given a short one and waited for.
 */
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CONNECTION_LIMITS } from '../../../src/protocol/http/one-port.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import {
  askHttp2,
  connectEarly,
  exchange,
  flood,
  frame,
  HTTP2_START,
  openHttp2,
  openRaw,
  varint,
  whileOthersAreServed,
} from './attacker.ts';

const BODY_BYTES_MAX = 64 * 1024;
const MEBIBYTE = 1024 * 1024;
const PUT = '/molten.v1.DocumentService/SetDocument';
const HEADERS = 1;
const RST_STREAM = 3;
const PING = 6;
const CONTINUATION = 9;
const ENHANCE_YOUR_CALM = 11;
const REFUSED_STREAM = 7;

describe('a body beyond its bound', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ maxBodyBytes: BODY_BYTES_MAX });
    await server.rootToken();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  const chunk = Buffer.from(`1000\r\n${' '.repeat(0x1000)}\r\n`);

  it.each(['/v1/sessions', PUT, '/login', '/v1/auth/login', '/oauth2/introspect', '/session'])(
    'in chunks without an end is refused and cut off: %s',
    async (path) => {
      const raw = openRaw(server);
      const form = path.startsWith('/oauth2');
      const type = form ? 'application/x-www-form-urlencoded' : 'application/json';
      raw.socket.write(
        `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`,
      );
      const { result: sent } = await whileOthersAreServed(
        server,
        flood(raw, chunk, 256 * MEBIBYTE),
      );
      await raw.closed;
      expect(sent).toBeLessThan(64 * MEBIBYTE);
      if (raw.text() !== '') expect(raw.text()).toMatch(/^HTTP\/1\.1 (400|403|413) /);
    },
  );

  it('is refused before it is sent, when it is announced', async () => {
    const body = 'x'.repeat(BODY_BYTES_MAX + 1);
    const answer = await server.request('POST', '/v1/sessions', { body });
    expect([answer.status, answer.body.reason]).toEqual([413, 'ARGUMENT_INVALID']);
    expect(answer.body.detail).toBe('the body is larger than 65536 bytes; send less at once');
  });

  it('does not pass by announcing less, or two lengths', async () => {
    const start = 'POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';
    const smuggled = [
      `${start}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      `${start}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
      `${start}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      `${start}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}`,
    ];
    for (const text of smuggled) expect(await exchange(server, text)).toMatch(/^HTTP\/1\.1 400 /);
    expect((await server.asRoot('GET', '/v1/status')).status).toBe(200);
  });

  it('as a message of gRPC ends with a status, unread', async () => {
    using connection = await openHttp2(server.url);
    const message = Buffer.alloc(4 * MEBIBYTE);
    message.writeUInt32BE(message.length - 5, 1);
    const headers = {
      ...{ ':method': 'POST', ':path': PUT, te: 'trailers', 'content-type': 'application/grpc' },
    };
    const attack = askHttp2(connection, headers, message);
    const { result } = await whileOthersAreServed(server, attack);
    if (result.resetCode === 0) expect(result.trailers['grpc-status']).toBe('3');
    const announced = Buffer.alloc(5);
    announced.writeUInt32BE(0xffffffff, 1);
    const lie = await askHttp2(connection, headers, announced);
    expect(lie.trailers['grpc-status']).toBe('3');
    // Its connection serves others meanwhile.
    expect((await askHttp2(connection, { ':path': '/healthz' })).headers[':status']).toBe(200);
  });

  it.each(['/v1/sessions', PUT, '/login'])(
    'over HTTP/2 without an end loses its stream: %s',
    async (path) => {
      using connection = await openHttp2(server.url);
      const stream = connection.session.request({
        ...{ ':method': 'POST', ':path': path, 'content-type': 'application/json' },
      });
      const piece = Buffer.alloc(16 * 1024, 0x20);
      let sent = 0;
      let answer = '';
      stream.on('error', () => undefined);
      stream.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      const closed = new Promise<void>((resolve) => {
        stream.once('close', resolve);
      });
      const push = (): void => {
        sent += piece.length;
        if (!stream.destroyed) stream.write(piece, push);
      };
      push();
      await whileOthersAreServed(server, closed);
      expect(sent).toBeLessThan(4 * MEBIBYTE);
      expect(answer).toMatch(/larger than|too large/);
      expect((await askHttp2(connection, { ':path': '/healthz' })).headers[':status']).toBe(200);
    },
  );

  it.each([
    ['Connect', 'application/json', 'content-encoding', 0],
    ['Connect streams', 'application/connect+json', 'connect-content-encoding', 1],
    ['gRPC', 'application/grpc+json', 'grpc-encoding', 1],
    ['gRPC-Web', 'application/grpc-web+json', 'grpc-encoding', 1],
  ])('that is small until it is unpacked is refused: %s', async (...[, type, encoding, flag]) => {
    const bomb = gzipSync(Buffer.alloc(60 * MEBIBYTE, 0x20));
    expect(bomb.length).toBeLessThan(BODY_BYTES_MAX);
    const head = Buffer.alloc(flag === 1 ? 5 : 0, 1);
    if (flag === 1) head.writeUInt32BE(bomb.length, 1);
    using connection = await openHttp2(server.url);
    const path = type.includes('connect+') ? '/molten.v1.WatchService/Watch' : PUT;
    const headers = { ':method': 'POST', ':path': path, 'content-type': type, [encoding]: 'gzip' };
    const before = process.memoryUsage().arrayBuffers;
    const attack = askHttp2(connection, headers, Buffer.concat([head, bomb]));
    const { result } = await whileOthersAreServed(server, attack);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * MEBIBYTE);
    const told = JSON.stringify(result.trailers) + result.body.toString('latin1');
    expect(decodeURIComponent(told)).toContain('larger than');
  });

  it('that is packed is not unpacked where packing is not spoken', async () => {
    const body = gzipSync('{}').toString('latin1');
    const headers = { 'content-encoding': 'gzip' };
    for (const path of ['/v1/sessions', '/v1/tokens', '/session']) {
      const answer = await server.request('POST', path, { body, headers });
      expect([path, answer.status, answer.body.reason]).toEqual([path, 415, 'ARGUMENT_INVALID']);
    }
  });

  it('that is nested without an end is refused', async () => {
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
    const document = `{"collection":"a","key":"a","body":{"fields":{"a":${deep}}}}`;
    const token = await server.rootToken();
    for (const path of [PUT, '/v1/sessions', '/set', '/v1/auth/login', '/session']) {
      const answer = await server.request('POST', path, { body: document, token });
      expect([path, answer.status < 500 && answer.status >= 400]).toEqual([path, true]);
      expect(answer.text).not.toContain('stack');
    }
    expect((await server.asRoot('GET', '/v1/status')).status).toBe(200);
  });

  it('that is nested without an end is refused as binary protobuf', async () => {
    // Tag and length of `body.fields["a"]` once, then lists in lists.
    const part = (tag: number, payload: Buffer): Buffer =>
      Buffer.concat([Buffer.from([tag]), varint(payload.length), payload]);
    const nested = (levels: number): Buffer => {
      // Value.null_value; Value.list_value of ListValue.values.
      let value: Buffer = Buffer.from([0x08, 0x00]);
      for (let n = 0; n < levels; n++) value = part(0x32, part(0x0a, value));
      const entry = Buffer.concat([part(0x0a, Buffer.from('a')), part(0x12, value)]);
      const [collection, key] = [part(0x0a, Buffer.from('a')), part(0x12, Buffer.from('a'))];
      return Buffer.concat([collection, key, part(0x1a, part(0x0a, part(0x0a, entry)))]);
    };
    const headers = {
      ...{ ':method': 'POST', ':path': PUT, 'content-type': 'application/proto' },
      authorization: `Bearer ${await server.rootToken()}`,
    };
    using connection = await openHttp2(server.url);
    expect((await askHttp2(connection, headers, nested(8))).headers[':status']).toBe(200);
    for (const levels of [64, 1000, 8000]) {
      const attack = askHttp2(connection, headers, nested(levels));
      const { result } = await whileOthersAreServed(server, attack);
      const { code, message } = JSON.parse(result.body.toString()) as Record<string, string>;
      expect([levels, result.headers[':status'], code]).toEqual([levels, 400, 'invalid_argument']);
      expect(message).not.toContain('stack');
    }
  });
});

describe('a head beyond its bounds', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it('is refused for its URL, by both versions of HTTP', async () => {
    const url = `/v1/health?a=${'a'.repeat(CONNECTION_LIMITS.urlCharsMax)}`;
    const answer = await server.request('GET', url);
    expect([answer.status, answer.body.metadata]).toEqual([414, { limit: '8192' }]);
    expect(answer.body.detail).toContain('the URL is 8205 characters long; the limit is 8192');
    const fits = await server.request('GET', url.slice(0, CONNECTION_LIMITS.urlCharsMax));
    expect(fits.status).not.toBe(414);
    using connection = await openHttp2(server.url);
    const second = await askHttp2(connection, { ':path': url });
    expect(second.headers[':status']).toBe(414);
  });

  it('is refused for its headers, by both versions of HTTP', async () => {
    const big = 'a'.repeat(CONNECTION_LIMITS.headerBytesMax);
    const head = `GET /healthz HTTP/1.1\r\nhost: a\r\nbig: ${big}\r\n\r\n`;
    expect(await exchange(server, head)).toMatch(/^HTTP\/1\.1 431 /);
    const many = Array.from({ length: 5000 }, (_, at) => `a${String(at)}: b\r\n`).join('');
    expect(await exchange(server, `GET /healthz HTTP/1.1\r\nhost: a\r\n${many}\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    // Before the settings of the server are known, and after.
    using early = connectEarly(server.url);
    expect((await askHttp2(early, { ':path': '/healthz', big })).headers[':status']).toBe(431);
    using connection = await openHttp2(server.url);
    const second = await askHttp2(connection, { ':path': '/healthz', big });
    expect(second.resetCode).toBe(ENHANCE_YOUR_CALM);
    expect((await askHttp2(connection, { ':path': '/healthz' })).headers[':status']).toBe(200);
  });

  it('without an end ends its connection', async () => {
    const raw = openRaw(server);
    raw.socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n');
    const field = Buffer.from(`a: ${'b'.repeat(1000)}\r\n`);
    const { result: sent } = await whileOthersAreServed(server, flood(raw, field, MEBIBYTE * 64));
    expect(sent).toBeLessThan(8 * MEBIBYTE);
  });
});

describe('a connection of HTTP/2', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ connections: { ...CONNECTION_LIMITS, streamsMax: 32 } });
    await server.rootToken();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  /** GET /healthz as HPACK without its tables (RFC 7541). */
  const REQUEST = Buffer.concat([
    Buffer.from([0x82, 0x86, 0x04, 8]),
    Buffer.from('/healthz'),
    Buffer.from([0x01, 1]),
    Buffer.from('a'),
  ]);

  /** The streams that the server has reset with REFUSED_STREAM, as its frames say. */
  function refusedStreams(text: string): readonly number[] {
    const bytes = Buffer.from(text, 'latin1');
    const found: number[] = [];
    for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
      const isReset = bytes[at + 3] === RST_STREAM && at + 13 <= bytes.length;
      if (isReset && bytes.readUInt32BE(at + 9) === REFUSED_STREAM) {
        found.push(bytes.readUInt32BE(at + 5));
      }
    }
    return found;
  }

  it('that opens and resets streams without an end is ended', async () => {
    const raw = openRaw(server);
    raw.socket.write(HTTP2_START);
    let stream = -1;
    const attack = (async () => {
      for (let n = 0; n < 400 && !raw.socket.destroyed; n++) {
        const frames = Array.from({ length: 100 }, () => {
          stream += 2;
          const reset = Buffer.from([0, 0, 0, 8]);
          return Buffer.concat([
            frame(HEADERS, { flags: 5, stream, payload: REQUEST }),
            frame(RST_STREAM, { stream, payload: reset }),
          ]);
        });
        raw.socket.write(Buffer.concat(frames));
        await new Promise(setImmediate);
      }
      await raw.closed;
    })();
    await whileOthersAreServed(server, attack);
    expect(raw.socket.destroyed).toBe(true);
  });

  it('runs no more streams at once than it may, and the rest is refused', async () => {
    using connection = await openHttp2(server.url);
    expect(connection.session.remoteSettings.maxConcurrentStreams).toBe(32);
    const raw = openRaw(server);
    raw.socket.write(HTTP2_START);
    const open = Array.from({ length: 40 }, (_, at) =>
      // Without END_STREAM: a body follows, and never comes.
      frame(HEADERS, { flags: 4, stream: 2 * at + 1, payload: REQUEST.fill(0x83, 0, 1) }),
    );
    REQUEST.fill(0x82, 0, 1);
    raw.socket.write(Buffer.concat(open));
    // The first 32 wait for their bodies; each of the others is told REFUSED_STREAM.
    const refused = Array.from({ length: 8 }, (_, at) => 2 * (32 + at) + 1);
    await expect.poll(() => refusedStreams(raw.text())).toEqual(refused);
    expect((await server.asRoot('GET', '/v1/status')).status).toBe(200);
    raw.socket.destroy();
  });

  it.each([
    ['continues headers', frame(CONTINUATION, { stream: 1, payload: Buffer.from([0x82]) })],
    ['pings and reads nothing', frame(PING, { payload: Buffer.alloc(8) })],
    ['changes settings and reads nothing', frame(4)],
  ])('that %s without an end is ended', async (...[what, piece]) => {
    const raw = openRaw(server);
    raw.socket.pause();
    raw.socket.write(HTTP2_START);
    if (what === 'continues headers') {
      raw.socket.write(frame(HEADERS, { stream: 1, payload: Buffer.from([0x82]) }));
    }
    const many = Buffer.concat(Array.from({ length: 1000 }, () => piece));
    const attack = flood(raw, many, 256 * MEBIBYTE);
    const { result: sent } = await whileOthersAreServed(server, attack);
    expect(sent).toBeLessThan(64 * MEBIBYTE);
  });
});
