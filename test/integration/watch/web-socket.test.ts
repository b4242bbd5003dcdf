import { once } from 'node:events';
import { request } from 'node:http';

import { describe, expect, it } from 'vitest';
import { WebSocket as WebSocketOfNode } from 'ws';

import { delay } from '../../../src/platform/timers.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket, type RecordedSocket } from '../../support/web-socket.ts';

async function open(server: TestServer, token?: string, rest = {}): Promise<RecordedSocket> {
  const socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`);
  socket.send({ action: 'AUTH', token: token ?? (await server.rootToken()), ...rest });
  await socket.find(({ status, error }) => status === 'authenticated' || error !== undefined);
  return socket;
}

async function put(server: TestServer, key: string, n: number): Promise<void> {
  const path = `/v1/collections/c/documents/${key}`;
  await server.asRoot('PUT', path, { body: { fields: { n } } });
}

describe('the feed of MoltenDB', () => {
  it('tells of every change in the original frames', async () => {
    await using server = await startTestServer();
    await using socket = await open(server);
    await put(server, 'a', 1);
    await put(server, 'a', 2);
    await server.asRoot('DELETE', '/v1/collections/c/documents/a');
    await server.asRoot('DELETE', '/v1/collections/c');
    await socket.find(({ key }) => key === '*');
    expect(socket.frames.slice(1)).toEqual([
      { event: 'change', collection: 'c', key: 'a', new_v: 1 },
      { event: 'change', collection: 'c', key: 'a', new_v: 2 },
      { event: 'change', collection: 'c', key: 'a', new_v: null },
      { event: 'change', collection: 'c', key: '*', new_v: null },
    ]);
  });

  it('tells holders of narrow scopes what those cover, and others nothing', async () => {
    await using server = await startTestServer();
    const narrow = await server.tokenWith(['read:c:mine-*']);
    const blind = await server.tokenWith(['write:c:*']);
    await using socket = await open(server, narrow);
    await using deaf = await open(server, blind);
    for (const key of ['yours-1', 'mine-1', 'yours-2', 'mine-2']) await put(server, key, 1);
    await socket.find(({ key }) => key === 'mine-2');
    expect(socket.frames.slice(1).map((frame) => String(frame['key']))).toEqual([
      'mine-1',
      'mine-2',
    ]);
    expect(deaf.frames).toHaveLength(1);
  });

  it('tells of two collections who may read both, and of neither who may read elsewhere', async () => {
    await using server = await startTestServer();
    await using laptops = await open(server, await server.tokenWith(['read:laptops:*']));
    await using elsewhere = await open(server, await server.tokenWith(['read:phones:*']));
    await using admin = await open(server);
    for (const [collection, key] of [
      ['laptops', 'lp1'],
      ['memory', 'm1'],
      ['display', 'd1'],
      ['laptops', 'lp2'],
      ['phones', 'last'],
    ] as const) {
      await server.asRoot('POST', '/set', { collection, data: { [key]: { n: 1 } } });
    }
    await server.asRoot('POST', '/set', { collection: 'laptops', data: { last: { n: 1 } } });
    for (const socket of [laptops, elsewhere, admin]) {
      await socket.find(({ key }) => key === 'last');
    }
    await admin.find(({ collection, key }) => collection === 'laptops' && key === 'last');
    const told = ({ frames }: RecordedSocket): readonly unknown[] =>
      frames
        .slice(1)
        .map((frame): readonly unknown[] => [
          frame['event'],
          `${String(frame['collection'])}/${String(frame['key'])}`,
          frame['new_v'],
        ]);
    const change = (name: string): unknown => ['change', name, 1];
    expect(told(laptops)).toEqual(['laptops/lp1', 'laptops/lp2', 'laptops/last'].map(change));
    expect(told(elsewhere)).toEqual([change('phones/last')]);
    expect(told(admin)).toEqual(
      ['laptops/lp1', 'memory/m1', 'display/d1', 'laptops/lp2', 'phones/last', 'laptops/last'].map(
        change,
      ),
    );
  });

  it('is refused with the codes of MoltenDB', async () => {
    await using server = await startTestServer();
    const revoked = await server.tokenWith(['read:c:*']);
    await server.request('DELETE', '/v1/sessions/current', { token: revoked });
    const url = `${server.url.replace('http', 'ws')}/ws`;
    const cases = [
      ['not JSON', 'invalid_message'],
      [new Uint8Array([1, 2]), 'invalid_message'],
      ['{"action":"HELLO"}', 'invalid_action'],
      ['{"action":"SUBSCRIBE","id":"1"}', 'invalid_action'],
      ['{"action":"AUTH"}', 'missing_token'],
      ['{"action":"AUTH","token":"x"}', 'invalid_token'],
      [JSON.stringify({ action: 'AUTH', token: revoked }), 'token_revoked'],
    ] as const;
    for (const [data, code] of cases) {
      await using socket = await openSocket(url);
      socket.sendRaw(data);
      expect(await socket.closed()).toBe(1008);
      expect(socket.frames).toEqual([{ error: code, detail: expect.any(String) }]);
    }
  });

  it('ends when the token is revoked, expires, or the server stops', async () => {
    const clock = createManualClock();
    await using server = await startTestServer({}, { clock });
    const first = await server.tokenWith(['read:c:*']);
    await using revoked = await open(server, first);
    await server.request('DELETE', '/v1/sessions/current', { token: first });
    expect(await revoked.closed()).toBe(1008);
    expect(revoked.frames.at(-1)).toMatchObject({ error: 'token_revoked' });
    await using expired = await open(server, await server.tokenWith(['read:c:*']));
    clock.advance(3_600_001);
    expect(await expired.closed()).toBe(1008);
    expect(expired.frames.at(-1)).toMatchObject({ error: 'token_expired' });
    await using stopped = await open(server);
    await server.close();
    expect(await stopped.closed()).toBe(1001);
    expect(stopped.frames.at(-1)).toMatchObject({ error: 'shutting_down' });
  });
});

describe('subscriptions', () => {
  it('have filters, bodies, the state they begin with, and tokens to resume', async () => {
    await using server = await startTestServer();
    await put(server, 'a', 5);
    await using socket = await open(server, undefined, { feed: false });
    const watch = { collection: 'c', where: { n: { $gte: 5 } } };
    socket.send({ action: 'SUBSCRIBE', id: 's', ...watch, initialState: true });
    await socket.find(({ event }) => event === 'current');
    await put(server, 'b', 6);
    await put(server, 'b', 1);
    const left = await socket.find(
      ({ changes }) => changes?.[0].kind === 'WATCHED_CHANGE_KIND_LEFT',
    );
    expect(left).toMatchObject({ event: 'commit', id: 's' });
    const events = socket.frames.slice(1).map((frame) => String(frame['event']));
    expect(events).toEqual(['started', 'documents', 'current', 'commit', 'commit']);
    const entered = socket.frames[4];
    expect(entered?.['changes'][0].document.fields).toEqual({ n: 6 });
    socket.send({ action: 'UNSUBSCRIBE', id: 's' });
    await socket.find(({ event }) => event === 'unsubscribed');
    await put(server, 'b', 7);
    socket.send({ action: 'SUBSCRIBE', id: 't', ...watch, resumeToken: left['resumeToken'] });
    const resumed = await socket.find(({ id, event }) => id === 't' && event === 'commit');
    expect(resumed['changes'][0].document.fields).toEqual({ n: 7 });
    expect(socket.frames.filter(({ event }) => event === 'change')).toEqual([]);
  });

  it('wait for acknowledgements when that is asked for', async () => {
    await using server = await startTestServer();
    await using socket = await open(server, undefined, { feed: false });
    socket.send({ action: 'SUBSCRIBE', id: 's', collection: 'c', maxUnacknowledged: 2 });
    const started = await socket.find(({ event }) => event === 'started');
    for (const n of [1, 2, 3, 4]) await put(server, `k${String(n)}`, n);
    const first = await socket.find(({ event }) => event === 'commit');
    await server.asRoot('PUT', '/v1/collections/d/documents/x', { body: { fields: {} } });
    expect(socket.frames.filter(({ event }) => event === 'commit')).toHaveLength(1);
    socket.send({ action: 'ACK', id: 's', resumeToken: started['resumeToken'] });
    await socket.find(({ changes }) => changes?.[0].key === 'k2');
    socket.send({ action: 'ACK', id: 's', resumeToken: first['resumeToken'] });
    await socket.find(({ changes }) => changes?.[0].key === 'k3');
    expect(socket.frames.some(({ changes }) => changes?.[0].key === 'k4')).toBe(false);
  });

  it('end alone when they are not acknowledged', async () => {
    const watchTimes = { stallMs: 200, graceMs: 100 };
    await using server = await startTestServer({}, { watchTimes });
    await using socket = await open(server);
    socket.send({ action: 'SUBSCRIBE', id: 'slow', collection: 'c', maxUnacknowledged: 1 });
    await socket.find(({ event, id }) => event === 'started' && id === 'slow');
    await put(server, 'a', 1);
    const ended = await socket.find(({ event, id }) => event === 'error' && id === 'slow');
    expect(ended['error'].reason).toBe('WATCHER_TOO_SLOW');
    await put(server, 'b', 1);
    await socket.find(({ event, key }) => event === 'change' && key === 'b');
  });

  it('leave nothing behind when an id is used again and again', async () => {
    await using server = await startTestServer();
    for (let n = 0; n < 30; n++) await put(server, `k${String(n)}`, n);
    const socket = await open(server, undefined, { feed: false });
    for (let n = 0; n < 50; n++) {
      socket.send({ action: 'SUBSCRIBE', id: 's', collection: 'c', initialState: true });
      socket.send({ action: 'UNSUBSCRIBE', id: 's' });
    }
    socket.send({ action: 'SUBSCRIBE', id: 's', collection: 'c' });
    // It starts when it starts: what was put before that it does not show.
    const isTold = async (): Promise<boolean> => {
      await put(server, 'late', 1);
      return socket.frames.some(({ changes }) => changes?.[0].key === 'late');
    };
    await expect.poll(isTold, { timeout: 20_000 }).toBe(true);
    socket.send({ action: 'UNSUBSCRIBE', id: 's' });
    await socket.find(({ event, id }) => event === 'unsubscribed' && id === 's');
    const before = socket.frames.length;
    await put(server, 'later', 1);
    await put(server, 'latest', 1);
    const told = socket.frames.slice(before).filter(({ event }) => event === 'commit');
    expect(told).toEqual([]);
    await socket[Symbol.asyncDispose]();
  });

  it('fail alone, saying why, and leave the connection as it is', async () => {
    await using server = await startTestServer();
    await using socket = await open(server);
    socket.send({ action: 'SUBSCRIBE', id: 'bad', collection: 'c', where: { n: { $near: 1 } } });
    const filter = await socket.find(({ id }) => id === 'bad');
    expect(filter).toMatchObject({ event: 'error', error: { reason: 'FILTER_INVALID' } });
    socket.send({ action: 'SUBSCRIBE', id: 'odd', colection: 'c' });
    const odd = await socket.find(({ id }) => id === 'odd');
    expect(odd).toMatchObject({ event: 'error', error: { reason: 'ARGUMENT_INVALID' } });
    socket.send({ action: 'SUBSCRIBE', collection: 'c' });
    await socket.find(({ error }) => error === 'invalid_message');
    await put(server, 'a', 1);
    await socket.find(({ event }) => event === 'change');
  });
});

describe('the connection', () => {
  it('is cut when its peer answers no ping, and kept while it does', async () => {
    await using server = await startTestServer({}, { webSocketTimes: { pingMs: 500 } });
    const url = `${server.url.replace('http', 'ws')}/ws`;
    const token = await server.rootToken();
    const connect = async (autoPong: boolean): Promise<WebSocketOfNode> => {
      const socket = new WebSocketOfNode(url, { autoPong });
      await once(socket, 'open');
      socket.send(JSON.stringify({ action: 'AUTH', token }));
      return socket;
    };
    const [living, dead] = [await connect(true), await connect(false)];
    let pings = 0;
    living.on('ping', () => (pings += 1));
    const [code] = (await once(dead, 'close')) as [number];
    // Without a goodbye: nobody would hear it.
    expect(code).toBe(1006);
    await expect.poll(() => pings, { timeout: 20_000 }).toBeGreaterThan(2);
    expect(living.readyState).toBe(WebSocketOfNode.OPEN);
    living.terminate();
  });

  it('is closed when nobody signs in', async () => {
    await using server = await startTestServer({}, { webSocketTimes: { authMs: 50 } });
    await using socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`);
    expect(await socket.closed()).toBe(1008);
    expect(socket.frames).toEqual([{ error: 'auth_timeout', detail: expect.any(String) }]);
  });

  it.each([
    ['nobody has signed in', undefined, []],
    ['it has no feed', { feed: false }, []],
    ['it subscribes', { feed: false }, [{ id: 's', collection: 'c' }]],
    [
      'a message waits to be acknowledged',
      { feed: false },
      [{ id: 's', collection: 'c', initialState: true, maxUnacknowledged: 1 }],
    ],
  ])(
    'is told that the server stops, and holds it up by nothing, when %s',
    async (_, auth, subs) => {
      // Longer than a test may take, so that waiting for it fails.
      await using server = await startTestServer({ shutdownGraceMs: 600_000 });
      await put(server, 'a', 1);
      await put(server, 'b', 1);
      const url = `${server.url.replace('http', 'ws')}/ws`;
      await using socket = auth ? await open(server, undefined, auth) : await openSocket(url);
      for (const sub of subs) {
        socket.send({ action: 'SUBSCRIBE', ...sub });
        await socket.find(({ id }) => id === sub.id);
      }
      await server.close();
      expect(await socket.closed()).toBe(1001);
      expect(socket.frames.at(-1)).toMatchObject({ error: 'shutting_down' });
      const ended = socket.frames.filter(({ event }) => event === 'error');
      expect(ended.map(({ id, error }) => `${String(id)} ${String(error.reason)}`)).toEqual(
        subs.map(({ id }) => `${id} SHUTTING_DOWN`),
      );
    },
  );

  it('stays when its address calls too much, for that says nothing of its token', async () => {
    await using server = await startTestServer(
      { rateLimit: { requests: 8, windowMs: 600_000 } },
      { webSocketTimes: { pingMs: 500 } },
    );
    const token = await server.rootToken();
    // Without a feed, which would be a call that the looks at the token compete with.
    await using socket = await open(server, token, { feed: false });
    let status = 200;
    while (status === 200) {
      ({ status } = await server.request('GET', '/v1/sessions/current', { token }));
    }
    expect(status).toBe(429);
    // Long enough for some looks at the token.
    await delay(1200);
    socket.send({ action: 'SUBSCRIBE', id: 'none', collection: 'c' });
    // It is there, and told that a frame of its own is one call too many.
    expect(await socket.find(({ id }) => id === 'none')).toMatchObject({
      ...{ event: 'error', error: { reason: 'RATE_LIMITED' } },
    });
  });

  it('is refused to pages of other origins, and on other paths', async () => {
    await using server = await startTestServer({ corsOrigins: ['https://app.example'] });
    const own = server.url;
    const statuses = [];
    for (const [path, origin] of [
      ['/ws', 'https://evil.example'],
      ['/ws', 'https://app.example.evil.example'],
      ['/ws', 'https://app.example'],
      ['/ws', own],
      ['/elsewhere', undefined],
    ] as const) {
      statuses.push(await handshake(`${server.url}${path}`, origin));
    }
    expect(statuses).toEqual([403, 403, 101, 101, 404]);
  });
});

function handshake(url: string, origin: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
      'sec-websocket-key': Buffer.alloc(16).toString('base64'),
      ...(origin === undefined ? {} : { origin }),
    };
    const call = request(url, { headers });
    call.once('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    call.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.once('error', reject);
    call.end();
  });
}
