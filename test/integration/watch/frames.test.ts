/** What the frames of a WebSocket are held to: limits, bans, their size and how many wait. */
import { describe, expect, it } from 'vitest';

import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket, type RecordedSocket } from '../../support/web-socket.ts';

const WINDOW_MS = 600_000;
const LIMIT = 5;
const ADDRESS = '198.51.100.7';
const SETTINGS = {
  rateLimit: { requests: LIMIT, windowMs: WINDOW_MS },
  trustedProxies: ['127.0.0.1'],
};

/** A connection of a known caller, whose handshake is a request of its address. */
async function open(server: TestServer): Promise<RecordedSocket> {
  const token = await server.tokenWith(['read:c:*']);
  const socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`, {
    ...{ authorization: `Bearer ${token}`, 'x-forwarded-for': ADDRESS },
  });
  await socket.find(({ status }) => status === 'authenticated');
  return socket;
}

/** How many requests are left to the address, when this is one. */
async function left(server: TestServer): Promise<string> {
  const headers = { 'x-forwarded-for': ADDRESS };
  const answer = await server.request('GET', '/v1/health', { headers });
  return /r=\d+/.exec(answer.headers.get('ratelimit') ?? '')?.[0] ?? '';
}

describe('a frame', () => {
  it.each([
    ['that is not JSON', 'nonsense'],
    ['that is no text', new Uint8Array([1, 2])],
    ['without a known action', '{"action":"HELLO"}'],
    ['that acknowledges what was not sent', '{"action":"ACK","id":"a","resumeToken":"x"}'],
    ['that subscribes in vain', '{"action":"SUBSCRIBE","id":"a","collection":7}'],
  ])('%s is a request of its address', async (...[, frame]) => {
    await using server = await startTestServer(SETTINGS);
    await using socket = await open(server);
    for (let n = 1; n < LIMIT; n++) socket.sendRaw(frame);
    expect(socket.frames.some(({ error }) => error === 'rate_limited')).toBe(false);
    socket.sendRaw(frame);
    const refused = await socket.find(
      ({ error }) => error === 'rate_limited' || error?.reason === 'RATE_LIMITED',
    );
    expect(JSON.stringify(refused)).toContain(`more than ${String(LIMIT)} requests in 600 s`);
  });

  it('that acknowledges a message counts for nothing, once for each', async () => {
    await using server = await startTestServer(SETTINGS);
    await using socket = await open(server);
    socket.send({ action: 'SUBSCRIBE', id: 'a', collection: 'c', maxUnacknowledged: 1 });
    await socket.find(({ event }) => event === 'started');
    const acknowledge = (): void => {
      const { resumeToken } = socket.frames.findLast(({ resumeToken }) => resumeToken) ?? {};
      socket.send({ action: 'ACK', id: 'a', resumeToken });
    };
    acknowledge();
    for (let n = 0; n < 4 * LIMIT; n++) {
      const path = `/v1/collections/c/documents/${String(n)}`;
      const headers = { 'x-forwarded-for': `203.0.113.${String(n)}` };
      const body = { body: { fields: { n } } };
      await server.request('PUT', path, { body, headers, token: await server.rootToken() });
      await socket.find(({ changes }) => changes?.[0].key === String(n));
      acknowledge();
    }
    // The handshake and the subscription.
    expect(await left(server)).toBe(`r=${String(LIMIT - 3)}`);
    for (let n = 0; n < LIMIT; n++) acknowledge();
    // Told without the id: the subscription has not failed.
    await socket.find(({ error }) => error === 'rate_limited');
    expect(socket.frames.filter(({ event }) => event === 'error')).toEqual([]);
  });

  it('that ends a subscription is a request, and done also beyond the limit', async () => {
    await using server = await startTestServer(SETTINGS);
    await using socket = await open(server);
    socket.send({ action: 'SUBSCRIBE', id: 'a', collection: 'c' });
    await socket.find(({ event }) => event === 'started');
    for (let n = 2; n < LIMIT; n++) socket.send({ action: 'UNSUBSCRIBE', id: 'b' });
    socket.sendRaw('nonsense');
    await socket.find(({ error }) => error === 'rate_limited');
    socket.send({ action: 'UNSUBSCRIBE', id: 'a' });
    await socket.find(({ event, id }) => event === 'unsubscribed' && id === 'a');
    expect(socket.frames.filter(({ event }) => event === 'error')).toEqual([]);
  });

  it('of an address that is banned ends the connection', async () => {
    const bans = { refusals: 3, firstMs: WINDOW_MS };
    await using server = await startTestServer({ ...SETTINGS, bans });
    await using socket = await open(server);
    for (let n = 0; n < LIMIT + 4; n++) socket.send({ action: 'UNSUBSCRIBE', id: 'a' });
    expect(await socket.closed()).toBe(1008);
    expect(socket.frames.at(-1)).toEqual({
      error: 'rate_limited',
      detail: expect.stringContaining('this address is banned'),
    });
  });

  it('beyond 256 KiB ends the connection, and one that is as long is read', async () => {
    await using server = await startTestServer();
    const frame = (length: number): string => {
      const start = '{"action":"UNSUBSCRIBE","id":"a","more":"';
      return `${start}${'x'.repeat(length - start.length - 2)}"}`;
    };
    await using socket = await open(server);
    socket.sendRaw(frame(256 * 1024));
    await socket.find(({ event }) => event === 'unsubscribed');
    socket.sendRaw(frame(256 * 1024 + 1));
    expect([1006, 1009]).toContain(await socket.closed());
    expect(socket.frames).toHaveLength(2);
    await using other = await open(server);
    expect(other.frames).toHaveLength(1);
  });

  it('beyond 100 that wait to be looked at ends the connection', async () => {
    await using server = await startTestServer();
    await using patient = await open(server);
    for (let n = 0; n < 100; n++) patient.send({ action: 'UNSUBSCRIBE', id: String(n) });
    await patient.find(({ id }) => id === '99');
    await using hasty = await open(server);
    for (let n = 0; n < 5000; n++) hasty.send({ action: 'UNSUBSCRIBE', id: String(n) });
    expect(await hasty.closed()).toBe(1006);
  });
});
