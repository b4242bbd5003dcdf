import { once } from 'node:events';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { CONNECTION_LIMITS } from '../../../src/protocol/http/one-port.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { startServer } from '../../../src/server/start.ts';
import {
  certificate,
  otherCertificate,
  otherPrivateKey,
  privateKey,
} from '../../support/certificate.ts';
import { parseMetrics } from '../../support/prometheus.ts';
import { startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { openRaw, type RawConnection } from './attacker.ts';

const REQUEST = 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n';

/** Whether a connection is served; one that is not is closed. */
async function isServed({ socket, closed, text }: RawConnection): Promise<boolean> {
  socket.write(REQUEST);
  await Promise.race([new Promise((resolve) => socket.once('data', resolve)), closed]);
  return text().startsWith('HTTP/1.1 200');
}

async function openMany(
  server: TestServer,
  { count, from }: { readonly count: number; readonly from: string },
): Promise<readonly boolean[]> {
  const served = [];
  for (let n = 0; n < count; n++) served.push(await isServed(openRaw(server, { from })));
  return served;
}

async function refusals(server: TestServer): Promise<Readonly<Record<string, number>>> {
  const scraped = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
  const samples = scraped.get('molten_connections_refused_total')?.samples ?? [];
  return Object.fromEntries(
    samples.map(({ labels, value }): [string, number] => [labels['limit'] ?? '', value]),
  );
}

describe('connections', () => {
  it('of one address are bounded, and leave room for others', async () => {
    await using server = await startTestServer({
      connections: { ...CONNECTION_LIMITS, connectionsPerAddressMax: 4 },
      metrics: { host: '127.0.0.1', port: 0 },
    });
    expect(await openMany(server, { count: 6, from: '127.0.0.2' })).toEqual([
      ...[true, true, true, true],
      ...[false, false],
    ]);
    expect(await openMany(server, { count: 3, from: '127.0.0.3' })).toEqual([true, true, true]);
    expect(await refusals(server)).toEqual({ total: 0, address: 2 });
  });

  it('of one address that are closed make room again', async () => {
    await using server = await startTestServer({
      connections: { ...CONNECTION_LIMITS, connectionsPerAddressMax: 1 },
    });
    const first = openRaw(server, { from: '127.0.0.2' });
    expect(await isServed(first)).toBe(true);
    expect(await openMany(server, { count: 1, from: '127.0.0.2' })).toEqual([false]);
    first.socket.destroy();
    await expect
      .poll(async () => await isServed(openRaw(server, { from: '127.0.0.2' })))
      .toBe(true);
  });

  it('of a trusted proxy are those of many, and bounded only in total', async () => {
    await using server = await startTestServer({
      connections: { ...CONNECTION_LIMITS, connectionsPerAddressMax: 1, connectionsMax: 16 },
      metrics: { host: '127.0.0.1', port: 0 },
      trustedProxies: ['127.0.0.2'],
    });
    const served = await openMany(server, { count: 18, from: '127.0.0.2' });
    expect(served).toEqual([...Array<boolean>(16).fill(true), false, false]);
    expect(await refusals(server)).toEqual({ total: 2, address: 0 });
  });

  it('of this machine have some of their own when all are taken', async () => {
    await using server = await startTestServer({
      connections: { ...CONNECTION_LIMITS, connectionsMax: 16 },
      trustedProxies: ['127.0.0.2'],
    });
    expect(await openMany(server, { count: 16, from: '127.0.0.2' })).not.toContain(false);
    expect(await isServed(openRaw(server, { from: '127.0.0.2' }))).toBe(false);
    const own = await openMany(server, { count: 17, from: '127.0.0.1' });
    expect(own).toEqual([...Array<boolean>(16).fill(true), false]);
  });
});

describe('a page of another origin', () => {
  it('cannot open a WebSocket, however its origin looks', async () => {
    const allowed = 'https://app.example.org';
    await using server = await startTestServer({ corsOrigins: [allowed] });
    const open = async (origin: string): Promise<string> => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`, { origin });
      const outcome = await new Promise<string>((resolve) => {
        socket.once('open', () => {
          resolve('open');
        });
        socket.on('error', ({ message }) => {
          resolve(message);
        });
      });
      socket.terminate();
      return outcome;
    };
    expect(await open(allowed)).toBe('open');
    expect(await open(server.url)).toBe('open');
    const refused = 'Unexpected server response: 403';
    for (const origin of [
      ...['https://evil.example.org', 'https://app.example.org.evil.example', 'null'],
      ...['http://app.example.org', 'https://app.example.org:8443', 'https://APP.example.org'],
      'https://app.example.org/',
    ]) {
      expect([origin, await open(origin)]).toEqual([origin, refused]);
    }
  });

  it('is allowed nothing by CORS, and a listed one only as it is listed', async () => {
    const allowed = 'https://app.example.org';
    await using closed = await startTestServer();
    await using server = await startTestServer({ corsOrigins: [allowed] });
    const ask = async (one: TestServer, origin: string): Promise<string | null> => {
      const { headers } = await one.request('GET', '/v1/health', { headers: { origin } });
      return headers.get('access-control-allow-origin');
    };
    expect(await ask(closed, allowed)).toBeNull();
    expect(await ask(server, allowed)).toBe(allowed);
    expect(await ask(server, 'https://app.example.org.evil.example')).toBeNull();
    expect(await ask(server, 'null')).toBeNull();
  });
});

describe('every answer', () => {
  const PATHS = ['/v1/health', '/healthz', '/no/such', '/system/health', '/v1/health%zz'];

  it('has security headers, and those of TLS only with TLS', async () => {
    await using server = await startTestServer();
    for (const path of PATHS) {
      const { headers } = await server.request('GET', path);
      expect([path, headers.get('x-content-type-options')]).toEqual([path, 'nosniff']);
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('strict-transport-security')).toBeNull();
    }
  });

  it('names its request: by the id of the caller when it is well-formed, else by a new one', async () => {
    await using server = await startTestServer();
    const ask = async (id: string): Promise<string | null> => {
      const headers = { 'x-request-id': id };
      return (await server.request('GET', '/v1/health', { headers })).headers.get('x-request-id');
    };
    expect(await ask('trace-1234_5.6:7')).toBe('trace-1234_5.6:7');
    for (const id of ['a'.repeat(129), 'a b', '<script>', '']) {
      expect(await ask(id)).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('mutual TLS', () => {
  const clients = { ca: otherCertificate, isRequired: true };
  const good = { cert: otherCertificate, key: otherPrivateKey };
  const bad = { cert: certificate, key: privateKey };

  /** The status line that a client with this certificate gets; empty when it is turned away. */
  async function ask(port: number, options: ConnectionOptions): Promise<string> {
    const socket = connectTls({ ...options, port, host: '127.0.0.1', ca: certificate });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.write('GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    return text.split('\r\n', 1)[0] ?? '';
  }

  const OK = 'HTTP/1.1 200 OK';

  it('turns away who shows no certificate, or one of another authority', async () => {
    const tls = { cert: certificate, key: privateKey, clients };
    await using server = await startTestServer({ tls });
    expect(await ask(server.port, good)).toBe(OK);
    expect(await ask(server.port, {})).toBe('');
    expect(await ask(server.port, bad)).toBe('');
  });

  it('that is optional takes who shows none, and turns away who shows a bad one', async () => {
    const tls = { cert: certificate, key: privateKey, clients: { ...clients, isRequired: false } };
    await using server = await startTestServer({ tls });
    expect(await ask(server.port, good)).toBe(OK);
    expect(await ask(server.port, {})).toBe(OK);
    expect(await ask(server.port, bad)).toBe('');
  });

  it('speaks no TLS before 1.2', async () => {
    const tls = { cert: certificate, key: privateKey };
    await using server = await startTestServer({ tls });
    const old = { ciphers: 'DEFAULT@SECLEVEL=0', minVersion: 'TLSv1' } as const;
    expect(await ask(server.port, { ...old, maxVersion: 'TLSv1.1' })).toBe('');
    expect(await ask(server.port, { ...old, maxVersion: 'TLSv1.2' })).toBe(OK);
  });

  it('believes other authorities at once when they are replaced, sessions of before included', async () => {
    using directory = createTemporaryDirectory();
    const tls = { cert: certificate, key: privateKey, clients };
    const config = { ...testConfig(directory.path), tls };
    const server = await startServer(config, { logger: createLogger({ level: 'silent' }) });
    try {
      const resume = connectTls({ ...good, port: server.port, host: '127.0.0.1', ca: certificate });
      const [session] = (await once(resume, 'session')) as [Buffer];
      resume.destroy();
      const again = { ...good, session, port: server.port, host: '127.0.0.1', ca: certificate };
      const resumed = connectTls(again);
      await once(resumed, 'secureConnect');
      expect(resumed.isSessionReused()).toBe(true);
      resumed.destroy();
      server.apply({ ...config, tls: { ...tls, clients: { ...clients, ca: certificate } } });
      expect(await ask(server.port, { ...good, session })).toBe('');
      expect(await ask(server.port, bad)).toBe(OK);
    } finally {
      await server.close();
    }
  });
});
