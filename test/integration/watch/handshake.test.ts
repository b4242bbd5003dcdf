import { describe, expect, it } from 'vitest';

import { delay } from '../../../src/platform/timers.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket } from '../../support/web-socket.ts';

async function put(server: TestServer, key: string, n: number): Promise<void> {
  const path = `/v1/collections/c/documents/${key}`;
  await server.asRoot('PUT', path, { body: { fields: { n } } });
}

describe('a credential in the handshake', () => {
  const at = (server: TestServer): string => `${server.url.replace('http', 'ws')}/ws`;
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const said = { status: 'authenticated', message: expect.any(String) };

  it('is enough to subscribe with, and runs no feed', async () => {
    await using server = await startTestServer({}, { webSocketTimes: { authMs: 50 } });
    await using socket = await openSocket(at(server), bearer(await server.tokenWith(['read:c:*'])));
    await socket.find(({ status }) => status === 'authenticated');
    // Nobody waits for an AUTH frame.
    await delay(100);
    socket.send({ action: 'SUBSCRIBE', id: 's', collection: 'c' });
    await socket.find(({ event }) => event === 'started');
    await put(server, 'a', 1);
    await socket.find(({ event }) => event === 'commit');
    socket.send({ action: 'SUBSCRIBE', id: 'd', collection: 'd' });
    const refused = await socket.find(({ id }) => id === 'd');
    expect(refused).toMatchObject({ event: 'error', error: { reason: 'SCOPE_MISSING' } });
    await put(server, 'b', 1);
    await socket.find(({ changes }) => changes?.[0].key === 'b');
    expect(socket.frames[0]).toEqual(said);
    expect(socket.frames.some(({ event }) => event === 'change')).toBe(false);
  });

  it.each([
    ['without a token goes on as the header says', undefined, ['mine-1', 'mine-2']],
    ['with a token goes on as that', ['read:c:yours-*'], ['yours-1', 'yours-2']],
  ])('leaves an AUTH frame, which %s', async (_, scopes, keys) => {
    await using server = await startTestServer();
    const header = bearer(await server.tokenWith(['read:c:mine-*']));
    await using socket = await openSocket(at(server), header);
    const token = scopes === undefined ? {} : { token: await server.tokenWith(scopes) };
    socket.send({ action: 'AUTH', ...token });
    await expect.poll(() => socket.frames.length).toBe(2);
    for (const key of ['mine-1', 'yours-1', 'mine-2', 'yours-2']) await put(server, key, 1);
    await socket.find(({ key }) => key === keys.at(-1));
    expect(socket.frames.slice(0, 2)).toEqual([said, said]);
    expect(socket.frames.slice(2).map(({ key }) => String(key))).toEqual(keys);
    // One AUTH frame, as ever.
    socket.send({ action: 'AUTH', ...token });
    await socket.find(({ error }) => error === 'invalid_action');
  });

  it('that is not taken is refused as an AUTH frame with it is, whatever follows', async () => {
    await using server = await startTestServer();
    const token = await server.rootToken();
    const revoked = await server.tokenWith(['read:c:*']);
    await server.request('DELETE', '/v1/sessions/current', { token: revoked });
    for (const [headers, code] of [
      [bearer('x'), 'invalid_token'],
      [{ authorization: 'Basic eDp5' }, 'invalid_token'],
      [{ 'x-api-key': 'mk_live_x' }, 'invalid_token'],
      [{ 'x-api-key': '' }, 'invalid_token'],
      [bearer(revoked), 'token_revoked'],
      [{ ...bearer(token), 'x-api-key': revoked }, 'invalid_token'],
    ] as const) {
      await using socket = await openSocket(at(server), headers);
      socket.send({ action: 'AUTH', token });
      expect(await socket.closed()).toBe(1008);
      expect(socket.frames[0]).toEqual({ error: code, detail: expect.any(String) });
      expect(socket.frames.some(({ status }) => status !== undefined)).toBe(false);
    }
  });

  it('ends the connection with it, by revocation and by time', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock, webSocketTimes: { pingMs: 50 } });
    const made = await server.asRoot('POST', '/v1/apiKeys', { scopes: ['read:c:*'] });
    const key = { 'x-api-key': String(made.body.text) };
    await using revoked = await openSocket(at(server), key);
    await revoked.find(({ status }) => status === 'authenticated');
    await server.asRoot('DELETE', `/v1/apiKeys/${String(made.body.apiKey.apiKeyId)}`);
    expect(await revoked.closed()).toBe(1008);
    const token = await server.tokenWith(['read:c:*']);
    await using expired = await openSocket(at(server), bearer(token));
    await expired.find(({ status }) => status === 'authenticated');
    clock.advance(3_600_001);
    expect(await expired.closed()).toBe(1008);
    expect(expired.frames.at(-1)).toMatchObject({ error: 'token_expired' });
  });

  it('does not open the door to pages of other origins', async () => {
    await using server = await startTestServer();
    const headers = { ...bearer(await server.rootToken()), origin: 'https://evil.example' };
    await expect(openSocket(at(server), headers)).rejects.toThrow('refused');
  });
});
