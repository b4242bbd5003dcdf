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
