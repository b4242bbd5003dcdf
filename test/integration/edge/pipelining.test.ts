/** Requests that a client sends without waiting for the answers to those before, over HTTP/1.1. */
import { expect, it } from 'vitest';

import { startTestServer } from '../../support/server.ts';
import { openRaw } from './attacker.ts';

const GET = 'GET /version HTTP/1.1\r\nhost: a\r\n\r\n';
const LAST = 'GET /version HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';

it('requests beyond 16 that wait for their answers are refused, and the connection goes on', async () => {
  await using server = await startTestServer();
  const raw = openRaw(server);
  const statuses = (): readonly string[] => raw.text().match(/(?<=HTTP\/1\.1 )\d+/g) ?? [];
  raw.socket.write(GET.repeat(200));
  await expect.poll(() => statuses().length, { timeout: 20_000 }).toBe(200);
  expect(statuses().slice(0, 16)).toEqual(Array<string>(16).fill('200'));
  expect(new Set(statuses().slice(16))).toEqual(new Set(['429']));
  expect(raw.text()).toContain('read those first, or open more connections');
  raw.socket.write(LAST);
  await raw.closed;
  expect(statuses().at(200)).toBe('200');
});

it('requests are worked on in the order they were sent', async () => {
  await using server = await startTestServer();
  const token = await server.rootToken();
  const path = '/v1/collections/c/documents/k';
  const send = (method: string, body = ''): string =>
    `${method} ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\n` +
    `content-type: application/json\r\ncontent-length: ${String(body.length)}\r\n\r\n${body}`;
  const put = (n: number): string =>
    send('PUT', JSON.stringify({ body: { fields: { text: `written ${String(n)}` } } }));
  const raw = openRaw(server);
  raw.socket.write([put(1), send('GET'), put(2), send('GET'), put(3), send('GET')].join(''));
  raw.socket.write(LAST);
  await raw.closed;
  const bodies = raw.text().match(/"text":"written \d"/g) ?? [];
  expect([bodies[0], bodies[1], bodies[2]]).toEqual(
    [1, 2, 3].map((n) => `"text":"written ${String(n)}"`),
  );
});

it('requests that wait when their connection ends are not worked on', async () => {
  await using server = await startTestServer();
  const token = await server.rootToken();
  const raw = openRaw(server);
  const head = `host: a\r\nauthorization: Bearer ${token}\r\n`;
  raw.socket.write(`GET /v1/watch?collection=c HTTP/1.1\r\n${head}\r\n`);
  await expect.poll(() => raw.text(), { timeout: 10_000 }).toContain('200 OK');
  raw.socket.write(`DELETE /v1/collections/c HTTP/1.1\r\n${head}\r\n`.repeat(3));
  await server.asRoot('PUT', '/v1/collections/c/documents/k', { body: { fields: { n: 1 } } });
  await expect.poll(() => raw.text(), { timeout: 10_000 }).toContain('"n"');
  raw.socket.destroy();
  await raw.closed;
  expect((await server.asRoot('GET', '/v1/collections/c/documents/k')).status).toBe(200);
});
