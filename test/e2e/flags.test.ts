/** Each flag as an operator meets it: given to a server in a process of its own, which then does as it says. */
import { createServer as createHttpServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { OPTIONS, variableOf } from '../../src/config/options.ts';
import { parseMetrics, valueOf } from '../support/prometheus.ts';
import { runStorage } from '../support/run-storage.ts';
import { freePort, SECRETS, serveWith, type Served } from '../support/served.ts';

const TESTS = fileURLToPath(new URL('..', import.meta.url));
const PATH = '/v1/collections/things/documents';
const SLOW_MS = 30_000;

it('each flag is given to a server by an end-to-end test, besides those that keep it from starting', () => {
  const texts = ['e2e', 'integration/postgres'].flatMap((folder) =>
    readdirSync(join(TESTS, folder))
      .filter((name) => name !== 'refusals.test.ts')
      .map((name) => readFileSync(join(TESTS, folder, name), 'utf8')),
  );
  const text = texts.join('\n');
  const isGiven = (name: string): boolean =>
    new RegExp(`--${name}(?![a-z-])|\\b${variableOf(name)}\\b`).test(text);
  expect(OPTIONS.filter(({ name }) => !isGiven(name)).map(({ name }) => name)).toEqual([]);
});

async function put(
  { ask }: Served,
  token: string,
  { key = 'a', fields = {} }: { readonly key?: string; readonly fields?: object },
): Promise<number> {
  return (await ask('PUT', `${PATH}/${key}`, { token, body: { body: { fields } } })).status;
}

const BOUNDS: readonly (readonly [flag: string, value: number])[] = [
  ['--rate-limit-requests', 5000],
  ['--rate-limit-window', 61],
  ['--rate-limit-burst', 4000],
  ['--rate-limit-anonymous', 901],
  ['--rate-limit-logins', 902],
  ['--rate-limit-verifications', 903],
  ['--rate-limit-principal', 904],
  ['--ban-after', 905],
  ['--ban-duration', 77],
  ['--max-body-size', 4096],
  ['--max-document-size', 1024],
  ['--max-keys-per-request', 3],
  ['--max-connections', 90],
  ['--max-connections-per-address', 80],
  ['--max-streams-per-connection', 7],
  ['--max-buffered-size', 40_000_000],
  ['--max-header-size', 8192],
  ['--max-url-length', 1024],
  ['--headers-timeout', 1],
  ['--request-timeout', 2],
  ['--idle-timeout', 3],
  ['--max-loop-delay', 30_000],
  ['--max-queue-wait', 31_000],
];

describe('flags that bound what is taken', () => {
  it('do, and the metrics tell each', { timeout: 3 * SLOW_MS }, async () => {
    const port = await freePort();
    const flags = BOUNDS.flatMap(([flag, value]) => [flag, String(value)]);
    const place = ['--metrics-port', port, '--metrics-host', '127.0.0.2'];
    const queries = [
      ...['--max-query-rows', '11', '--max-query-time', '12000'],
      ...['--max-query-scan', '13000', '--max-query-memory', '14000'],
    ];
    await using served = await serveWith([...flags, ...place, ...queries]);
    const scraped = await fetch(`http://127.0.0.2:${port}/metrics`);
    const metrics = parseMetrics(await scraped.text());
    const told = BOUNDS.map(([flag]) => [
      flag,
      valueOf(metrics, 'molten_limit', { option: flag.slice(2) }),
    ]);
    expect(told).toEqual(BOUNDS);
    await expectBounds(served);
    const token = await served.login();
    const { body } = await served.ask('GET', '/v1/admin/queryLimits', { token });
    expect(body).toMatchObject({
      ceiling: { rowsMax: 11, timeMsMax: 12_000, examinedMax: '13000', memoryBytesMax: '14000' },
    });
    await expectTimeouts(served);
  });
});

async function expectBounds(served: Served): Promise<void> {
  const { ask, server } = served;
  const token = await served.login();
  const first = await ask('GET', '/v1/status', { token });
  expect(first.headers.get('ratelimit-policy')).toContain('q=904;w=61');
  expect(await put(served, token, { fields: { text: 'x'.repeat(800) } })).toBe(200);
  expect(await put(served, token, { fields: { text: 'x'.repeat(1100) } })).toBe(400);
  expect(await put(served, token, { fields: { text: 'x'.repeat(4100) } })).toBe(413);
  const keys = ['a', 'b', 'c', 'd'];
  const many = await ask('POST', `${PATH}:batchGet`, { token, body: { keys } });
  expect([many.status, many.body.detail]).toEqual([400, expect.stringContaining('3')]);
  expect((await ask('GET', `/v1/health?${'a'.repeat(1100)}`)).status).toBe(414);
  const big = await ask('GET', '/v1/health', { headers: { big: 'a'.repeat(9000) } });
  expect(big.status).toBe(431);
  const session = connectHttp2(server.url);
  const [settings] = (await once(session, 'remoteSettings')) as [{ maxConcurrentStreams: number }];
  expect(settings.maxConcurrentStreams).toBe(7);
  session.destroy();
}

/** What is cut off: headers without an end, a body that does not come, and a connection without a request. */
async function expectTimeouts({ server }: Served): Promise<void> {
  const request = 'POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';
  const answers = await Promise.all(
    [
      'GET /healthz HTTP/1.1\r\n',
      `${request}content-length: 100\r\n\r\n{`,
      'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n',
    ].map(async (text) => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.on('error', () => undefined);
      socket.write(text);
      await once(socket, 'close');
      return answer.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length);
    }),
  );
  expect(answers).toEqual(['408', '408', '200']);
}

describe('flags about documents', () => {
  it('say how they are written, kept in memory, and when', { timeout: 2 * SLOW_MS }, async () => {
    const port = await freePort();
    await using served = await serveWith([
      ...['--strict', '--write-mode', 'async', '--disable-encryption'],
      ...['--storage-mode', 'tiered', '--hot-threshold', '2', '--cache-size', '1000000'],
      ...['--metrics-port', port, '--retain-history-size', '1000'],
    ]);
    const { ask } = served;
    const token = await served.login();
    expect(await put(served, token, {})).toBe(404);
    const made = await ask('POST', '/v1/collections', { token, body: { collection: 'things' } });
    expect(made.status).toBe(200);
    const text = 'x'.repeat(1000);
    const written = await ask('PUT', `${PATH}/a`, { token, body: { body: { fields: { text } } } });
    expect(written.body.commit.durability).toBe('DURABILITY_ASYNC');
    for (const key of ['b', 'c', 'd']) await put(served, token, { key, fields: { text } });
    // What is read while a commit is under way is not kept.
    const kept = async (): Promise<readonly (number | undefined)[]> => {
      for (const key of ['a', 'b', 'c', 'd']) await ask('GET', `${PATH}/${key}`, { token });
      const scraped = await fetch(`http://127.0.0.1:${port}/metrics`);
      const metrics = parseMetrics(await scraped.text());
      return ['documents', 'limit_bytes'].map((name) => valueOf(metrics, `molten_cache_${name}`));
    };
    // Of a store in a database none is kept, because other nodes write too.
    const isCached = runStorage(join(served.directory, 'store')) === undefined;
    await expect.poll(kept).toEqual(isCached ? [2, 1_000_000] : [0, 0]);
    const status = await ask('GET', '/v1/status', { token });
    expect(status.body).toMatchObject({ writeMode: 'async' });
    expect(status.body.encrypted ?? false).toBe(false);
    // Bodies that only the past needs go when they are more than a kilobyte.
    await put(served, token, { fields: { text: 'y'.repeat(1000) } });
    await put(served, token, { fields: { text: 'z'.repeat(1000) } });
    const past = `${PATH}/a?readSequence=${String(written.body.result.sequence)}`;
    const reason = async (): Promise<unknown> => (await ask('GET', past, { token })).body.reason;
    await expect.poll(reason, { timeout: SLOW_MS }).toBe('SEQUENCE_COMPACTED');
  });
});

interface Told {
  readonly path: string;
  readonly signature: string;
  readonly body: string;
}

/** Takes what a server sends elsewhere. */
async function listenForAll(): Promise<AsyncDisposable & { url: string; told: Told[] }> {
  const told: Told[] = [];
  const server = createHttpServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const signature = String(request.headers['x-molten-signature']);
      told.push({ path: request.url ?? '', signature, body });
      response.setHeader('content-type', 'application/json').end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    ...{ told, url: `http://127.0.0.1:${String(port)}` },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('flags about what a server tells', () => {
  it('have it told', { timeout: 2 * SLOW_MS }, async () => {
    await using elsewhere = await listenForAll();
    await using served = await serveWith(
      [
        ...['--otlp-endpoint', elsewhere.url, '--alert-webhook-url', `${elsewhere.url}/alerts`],
        ...['--alert-webhook-allow-private', '--audit-file', '{}/audit.log'],
        ...['--slow-query-ms', '1', '--debug', '--log-level', 'error'],
      ],
      {
        variables: {
          ...SECRETS,
          MOLTENDB_ALERT_WEBHOOK_SECRET: 'iZ8x-q41Lm0Vb77-rTe2Wc93-pK6s-0aQ',
        },
      },
    );
    const token = await served.login();
    const text = 'x'.repeat(10_000);
    for (let n = 0; n < 20; n++)
      await put(served, token, { key: `k${String(n)}`, fields: { text } });
    const body = { query: { where: { text: { $regex: 'y$' } } } };
    const hasSlow = async (): Promise<boolean> => {
      await served.ask('POST', `${PATH}:query`, { token, body });
      return served.server.stderr().includes('"msg":"slow query"');
    };
    await expect.poll(hasSlow, { timeout: SLOW_MS }).toBe(true);
    expect(served.server.stderr()).toContain('"level":"debug"');
    const guess = (): Promise<unknown> => served.ask('GET', '/v1/status', { token: 'a guess' });
    for (let n = 0; n < 110; n++) await guess();
    // A machine that is slow raises others.
    const alerts = (): Told[] =>
      elsewhere.told.filter(
        ({ path, body }) => path === '/alerts' && body.includes('authFailures'),
      );
    await expect.poll(() => alerts().length, { timeout: SLOW_MS }).toBeGreaterThan(0);
    expect(alerts()[0]?.signature).toMatch(/^t=\d+,v1=[0-9a-f]{64}$/);
    const spans = (): string => elsewhere.told.map((one) => one.body).join('\n');
    await expect.poll(spans, { timeout: SLOW_MS }).toContain('QueryDocuments');
    const audit = readFileSync(join(served.directory, 'audit.log'), 'utf8');
    expect(audit).toContain('"session.login"');
    expect(await served.server.stop('SIGTERM')).toBe(0);
  });
});
