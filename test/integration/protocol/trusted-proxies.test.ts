import { once } from 'node:events';

import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { createLogger } from '../../../src/platform/logger.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

const LIMIT = { requests: 2, windowMs: 600_000 };

async function statuses(server: TestServer, callers: readonly string[]): Promise<number[]> {
  const seen: number[] = [];
  for (const caller of callers) {
    const headers = { 'x-forwarded-for': caller };
    seen.push((await server.request('GET', '/v1/health', { headers })).status);
  }
  return seen;
}

describe('X-Forwarded-For', () => {
  it('tells callers of a trusted proxy apart, whatever they write in front', async () => {
    const trustedProxies = ['127.0.0.1'];
    await using server = await startTestServer({ rateLimit: LIMIT, trustedProxies });
    const callers = ['198.51.100.1', '1.1.1.1, 198.51.100.1', '2.2.2.2, 198.51.100.1'];
    expect(await statuses(server, callers)).toEqual([200, 200, 429]);
    expect(await statuses(server, ['198.51.100.2'])).toEqual([200]);
  });

  it('counts for nothing from anybody else', async () => {
    const trustedProxies = ['10.0.0.0/8'];
    await using server = await startTestServer({ rateLimit: LIMIT, trustedProxies });
    const callers = ['198.51.100.1', '198.51.100.2', '198.51.100.3'];
    expect(await statuses(server, callers)).toEqual([200, 200, 429]);
  });

  it('of a proxy that nobody named is warned of, once', async () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => lines.push(line) };
    const logger = createLogger({ level: 'warn', destination });
    await using server = await startTestServer({}, { logger });
    await statuses(server, ['198.51.100.1', '198.51.100.2']);
    const warned = lines.filter((line) => line.includes('is not in --trusted-proxy'));
    expect(warned.map((line) => (JSON.parse(line) as { address: string }).address)).toEqual([
      '127.0.0.1',
    ]);
  });

  it('names the caller in the audit log, over HTTP and WebSocket', async () => {
    await using server = await startTestServer({ trustedProxies: ['127.0.0.1'] });
    const headers = { 'x-forwarded-for': '198.51.100.1' };
    const body = { username: ROOT.username, password: 'not the password' };
    expect((await server.request('POST', '/v1/sessions', { body, headers })).status).toBe(401);
    const url = `${server.url.replace('http', 'ws')}/ws`;
    const socket = new WebSocket(url, { headers: { 'x-forwarded-for': '198.51.100.2' } });
    await once(socket, 'open');
    socket.send(JSON.stringify({ action: 'AUTH', token: 'not.a.token' }));
    await once(socket, 'close');
    await expect
      .poll(
        async () => {
          const answer = await server.asRoot('GET', '/v1/auditRecords?page_size=100');
          const records = answer.body.records as readonly { readonly address: string }[];
          return records.map(({ address }) => address);
        },
        { timeout: 10_000 },
      )
      .toEqual(expect.arrayContaining(['198.51.100.1', '198.51.100.2']));
  });
});
