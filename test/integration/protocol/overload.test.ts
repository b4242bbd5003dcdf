/** Under overload: who is turned away, in which words, and who never is. */
import { Agent, request } from 'node:http';
import { connect } from 'node:net';

import { Code, ConnectError } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';

import { ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { systemClock, type Clock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { parseMetrics, valueOf } from '../../support/prometheus.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { openSocket, type Frame } from '../../support/web-socket.ts';
import { connectAll, WAYS } from './clients.ts';
import { startFakeServer } from './fake-server.ts';

const REFUSAL = new DomainError('OVERLOADED', 'too much at once', { retryAfterMs: 1500 });

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await call.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
}

describe.each(WAYS)('$name', (way) => {
  test('is told OVERLOADED and when to come back, and is answered after that', async () => {
    let refusal: DomainError | undefined = REFUSAL;
    await using server = await startFakeServer({ admit: () => refusal });
    const { auth, system, health } = connectAll(way, server.url);
    const login = { username: 'echo', password: 'x'.repeat(1000) };
    for (let n = 0; n < 3; n++) {
      const error = await failureOf(auth.login(login));
      expect(error.code).toBe(Code.Unavailable);
      expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe('OVERLOADED');
      const [retry] = error.findDetails(RetryInfoSchema);
      expect(retry?.retryDelay).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
    }
    const stream = health.watch({ service: 'three' })[Symbol.asyncIterator]();
    expect((await failureOf(stream.next())).code).toBe(Code.Unavailable);
    // What operators ask is answered; nothing else has become a call.
    await system.getHealth({});
    expect(server.figures.methods().map(({ method }) => method)).toEqual([
      'molten.v1.SystemService/GetHealth',
    ]);
    refusal = undefined;
    expect((await auth.login(login)).token).toHaveLength(1000);
  });
});

/** Whose pages may call. */
const PAGE = 'https://app.example.org';

/** A clock by which every turn of the event loop took long. */
function lateClock(): Clock {
  let atMs = 0;
  return { now: () => systemClock.now(), monotonic: () => (atMs += 1000) };
}

/** A server that turns away nearly all: how many exactly depends on who else asks the clock. */
async function startOverloaded(): Promise<TestServer & { readonly log: readonly string[] }> {
  const log: string[] = [];
  const server = await startTestServer(
    {
      overload: { loopDelayMaxMs: 50, queueWaitMaxMs: 0 },
      corsOrigins: [PAGE],
      metrics: { host: '127.0.0.1', port: 0 },
    },
    {
      clock: lateClock(),
      logger: createLogger({ level: 'info', destination: { write: (line) => log.push(line) } }),
    },
  );
  while (!log.some((line) => line.includes('turned away'))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return Object.assign(server, { log });
}

/** What of a refusal differs from one to the next: when to come back, which is in the text as well. */
const OF_THE_MOMENT = /^(date|retry-after|content-length)$/;
const WAIT = /"retryAfterMs":\d+|"debug":\{"retryDelay":.*?"value":"[^"]*"/;

/** Asks until it is turned away. */
async function refusedBy(
  server: TestServer,
  line: string,
  body?: unknown,
): ReturnType<TestServer['request']> {
  const [method = '', path = ''] = line.split(' ');
  for (;;) {
    const answer = await server.request(method, path, { body });
    if (answer.status === 503) return answer;
  }
}

describe('an overloaded server', () => {
  test('says so in the words of each door, with Retry-After', async () => {
    await using server = await startOverloaded();
    const rest = await refusedBy(server, 'GET /v1/collections/things/documents/a');
    expect(rest.body).toMatchObject({ reason: 'OVERLOADED', status: 503 });
    expect(rest.body.retryAfterMs).toBeGreaterThanOrEqual(1000);
    const connectJson = await refusedBy(server, 'POST /molten.v1.DocumentService/GetDocument', {});
    expect(connectJson.body).toMatchObject({ code: 'unavailable' });
    const watch = await refusedBy(server, 'GET /v1/watch?collection=things');
    expect(watch.body.reason).toBe('OVERLOADED');
    const molten = await refusedBy(server, 'POST /get', { collection: 'things' });
    expect(molten.body).toEqual({ error: expect.stringContaining('try again'), statusCode: 503 });
    const aegis = await refusedBy(server, 'POST /api/v1/auth/login', {});
    const oauth = await refusedBy(server, 'POST /oauth2/introspect');
    expect(oauth.body.error).toBe('temporarily_unavailable');
    const nowhere = await refusedBy(server, 'GET /nowhere');
    for (const { headers } of [rest, connectJson, watch, molten, aegis, oauth, nowhere]) {
      expect(headers.get('retry-after')).toMatch(/^[12]$/);
    }
  });

  test.each([
    'GET /v1/collections',
    'GET /v1/watch?collection=things',
    'POST /molten.v1.DocumentService/GetDocument',
    'POST /v1/sessions:refresh',
  ])('says the same to programs and to pages: %s', async (line) => {
    await using server = await startOverloaded();
    const [method = '', path = ''] = line.split(' ');
    const refusalOf = async (more: Readonly<Record<string, string>>): Promise<object> => {
      const headers = { 'content-type': 'application/json', 'x-request-id': 'r1', ...more };
      for (;;) {
        const answer = await fetch(`${server.url}${path}`, { method, headers });
        const text = await answer.text();
        if (answer.status !== 503) continue;
        const fields = [...answer.headers].filter(([name]) => !OF_THE_MOMENT.test(name));
        return { fields: Object.fromEntries(fields), text: text.replace(WAIT, '') };
      }
    };
    const told = await refusalOf({});
    expect(told).toMatchObject({ fields: { 'x-request-id': 'r1', 'x-frame-options': 'DENY' } });
    // Pages are told more, and by another way.
    expect(await refusalOf({ origin: PAGE })).toMatchObject(told);
  });

  test('answers health checks and operators all the same', async () => {
    await using server = await startOverloaded();
    for (let n = 0; n < 50; n++) {
      for (const path of ['/healthz', '/readyz', '/version', '/v1/health', '/system/health']) {
        expect((await server.request('GET', path)).status).toBe(200);
      }
      const grpc = await server.request('POST', '/grpc.health.v1.Health/Check', { body: {} });
      expect(grpc.body).toEqual({ status: 'SERVING' });
      expect((await server.request('GET', '/v1/admin/stats')).status).toBe(401);
    }
  });

  test('takes no WebSocket, and says when to come back', async () => {
    await using server = await startOverloaded();
    const upgrade = [
      ...['GET /ws HTTP/1.1', 'host: x', 'connection: upgrade', 'upgrade: websocket'],
      ...['sec-websocket-version: 13', 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''],
    ].join('\r\n');
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = connect(server.port, '127.0.0.1');
        socket.write(upgrade);
        const answer = await new Promise<string>((resolve) => {
          socket.once('data', (data) => {
            resolve(data.toString());
          });
        });
        socket.destroy();
        return answer;
      }),
    );
    const refused = answers.filter((answer) => answer.startsWith('HTTP/1.1 503'));
    expect(refused.length).toBeGreaterThan(10);
    expect(refused[0]).toContain('retry-after: 1');
  });

  test('takes no subscription of a WebSocket that is open, and ends none', async () => {
    const state = { isLate: false, atMs: 0 };
    const monotonic = (): number =>
      state.isLate ? (state.atMs += 1000) : (state.atMs = systemClock.monotonic());
    await using server = await startTestServer(
      { overload: { loopDelayMaxMs: 50, queueWaitMaxMs: 0 } },
      { clock: { now: () => systemClock.now(), monotonic } },
    );
    const authorization = `Bearer ${await server.rootToken()}`;
    await using socket = await openSocket(`${server.url.replace('http', 'ws')}/ws`, {
      authorization,
    });
    socket.send({ action: 'SUBSCRIBE', id: 'before', collection: 'things' });
    await socket.find(({ event }) => event === 'started');
    state.isLate = true;
    let refused: Frame = {};
    for (let n = 0; refused['event'] !== 'error'; n++) {
      const id = `s${String(n)}`;
      socket.send({ action: 'SUBSCRIBE', id, collection: 'things' });
      refused = await socket.find((frame) => frame['id'] === id);
      socket.send({ action: 'UNSUBSCRIBE', id });
      await socket.find((frame) => frame['id'] === id && frame['event'] === 'unsubscribed');
    }
    expect(refused['error']).toMatchObject({ reason: 'OVERLOADED', status: 503 });
    expect(refused['error'].retryAfterMs).toBeGreaterThanOrEqual(1000);
    socket.send({ action: 'UNSUBSCRIBE', id: 'before' });
    const ended = await socket.find(({ id, event }) => id === 'before' && event !== 'started');
    expect(ended['event']).toBe('unsubscribed');
  });

  test('counts them, and tells the log once, not for each', async () => {
    await using server = await startOverloaded();
    for (let n = 0; n < 100; n++) await server.request('GET', '/v1/collections');
    const scraped = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
    expect(valueOf(scraped, 'molten_turned_away_total')).toBeGreaterThan(50);
    expect(valueOf(scraped, 'molten_turned_away_ratio')).toBeGreaterThan(0.5);
    expect(server.log.filter((line) => line.includes('turned away'))).toHaveLength(1);
    expect(server.log.filter((line) => line.includes('OVERLOADED'))).toHaveLength(0);
  });

  test('keeps the connection of whom it turns away, and the body is not taken for a request', async () => {
    await using server = await startOverloaded();
    const statuses: number[] = [];
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let sockets = 0;
    for (let n = 0; n < 10; n++) {
      await new Promise<void>((resolve, reject) => {
        const call = request(
          `${server.url}/v1/collections/things/documents:batchSet`,
          { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
          (response) => {
            statuses.push(response.statusCode ?? 0);
            response.resume().once('end', resolve);
          },
        );
        call.once('socket', (socket) => {
          if (socket.connecting) sockets += 1;
        });
        call.once('error', reject);
        call.end(JSON.stringify({ text: 'GET /x HTTP/1.1\r\n\r\n'.repeat(10_000) }));
      });
    }
    agent.destroy();
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(5);
    expect(sockets).toBe(1);
  });
});
