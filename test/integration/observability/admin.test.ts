/** What operators are told: probes, figures that agree with the metrics, alerts, recent calls. */
import { createServer } from 'node:http';
import { createHmac } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { fingerprintOf } from '../../../src/server/monitoring.ts';
import { startServer } from '../../../src/server/start.ts';
import { delay } from '../../../src/platform/timers.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { parseMetrics, valueOf } from '../../support/prometheus.ts';
import { ROOT, startTestServer, testConfig } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

type Scrape = ReturnType<typeof parseMetrics>;

interface RpcJson {
  readonly method: string;
  readonly callCount: string;
  readonly errorCount?: string;
  readonly recentCallCount?: string;
  readonly latency: { readonly p50Ms?: number; readonly p95Ms?: number; readonly p99Ms?: number };
}

interface StatsJson {
  readonly rpcs: readonly RpcJson[];
  readonly store: {
    readonly sequence: string;
    readonly storedBytes: string;
    readonly commitCount: string;
  };
  readonly runningCount: string;
}

describe('probes', () => {
  it('tell that the server is alive, ready, and which it is, without a credential', async () => {
    await using server = await startTestServer();
    const alive = await server.request('GET', '/healthz');
    expect([alive.status, alive.body]).toEqual([200, { status: 'alive' }]);
    const ready = await server.request('GET', '/readyz');
    expect([ready.status, ready.body]).toEqual([200, { status: 'ready' }]);
    expect((await server.request('GET', '/version')).body).toEqual({ release: '0.1.0' });
    for (const path of ['/healthz', '/readyz', '/version']) {
      const head = await server.request('HEAD', path);
      expect([path, head.status, head.text]).toEqual([path, 200, '']);
    }
  });

  it('are answered to an address over its limit', async () => {
    await using server = await startTestServer({ rateLimit: { requests: 1, windowMs: 60_000 } });
    await server.request('GET', '/v1/health');
    expect((await server.request('GET', '/v1/health')).status).toBe(429);
    for (let n = 0; n < 20; n++) {
      expect((await server.request('GET', '/healthz')).status).toBe(200);
      expect((await server.request('GET', '/readyz')).status).toBe(200);
    }
  });
});

describe('statistics', () => {
  it('agree with the metrics, RPC by RPC', async () => {
    await using server = await startTestServer({ metrics: { host: '127.0.0.1', port: 0 } });
    const path = '/v1/collections/things/documents';
    for (const key of ['a', 'b', 'c']) {
      await server.asRoot('PUT', `${path}/${key}`, { body: { fields: { key } } });
    }
    await server.asRoot('GET', `${path}/a`);
    await server.asRoot('GET', `${path}/missing`);
    await server.request('GET', `${path}/a`);
    // What was refused is recorded a moment later: both are asked until nothing is written in between.
    const ask = async (): Promise<{ scraped: Scrape; status: number; body: StatsJson }> => {
      const scraped = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
      const { status, body } = await server.asRoot('GET', '/v1/admin/stats');
      return { scraped, status, body: body as StatsJson };
    };
    const isQuiet = ({ scraped, body }: Awaited<ReturnType<typeof ask>>): boolean =>
      body.store.sequence === String(valueOf(scraped, 'molten_log_head_sequence')) &&
      body.store.storedBytes === String(valueOf(scraped, 'molten_store_bytes'));
    let asked = await ask();
    for (let attempt = 0; attempt < 20 && !isQuiet(asked); attempt++) {
      await delay(100);
      asked = await ask();
    }
    const { scraped, status, body } = asked;
    expect(status).toBe(200);
    const { rpcs } = body;
    expect(rpcs.length).toBeGreaterThan(2);
    for (const { method, callCount, errorCount = '0', recentCallCount, latency } of rpcs) {
      const total = valueOf(scraped, 'molten_rpc_requests_total', { method });
      const good = valueOf(scraped, 'molten_rpc_requests_total', { method, code: 'ok' });
      expect([method, callCount, errorCount]).toEqual([
        method,
        String(total),
        String(total - good),
      ]);
      expect(recentCallCount).toBe(callCount);
      const { p50Ms = 0, p95Ms = 0, p99Ms = 0 } = latency;
      expect(p50Ms).toBeGreaterThan(0);
      expect(p95Ms).toBeGreaterThanOrEqual(p50Ms);
      expect(p99Ms).toBeGreaterThanOrEqual(p95Ms);
    }
    const got = rpcs.find(({ method }) => method === 'molten.v1.DocumentService/GetDocument');
    expect([got?.callCount, got?.errorCount]).toEqual(['3', '2']);
    expect(body.store.sequence).toBe(String(valueOf(scraped, 'molten_log_head_sequence')));
    expect(body.store.commitCount).toBe(String(valueOf(scraped, 'molten_commits_total')));
    expect(body.store.storedBytes).toBe(String(valueOf(scraped, 'molten_store_bytes')));
    // The call that asks is running.
    expect(body.runningCount).toBe('1');
  });

  it('tell what runs where', async () => {
    await using server = await startTestServer();
    const { body } = await server.asRoot('GET', '/v1/admin/node');
    expect(body).toMatchObject({ release: '0.1.0', pid: process.pid });
    expect(body.configFingerprint).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('the fingerprint of a configuration', () => {
  const base = testConfig('a');

  it('differs with what is configured', () => {
    expect(fingerprintOf({ ...base, strict: true })).not.toBe(fingerprintOf(base));
    expect(fingerprintOf({ ...base })).toBe(fingerprintOf(base));
  });

  it('is that of now, also after the server has taken over settings', async () => {
    using directory = createTemporaryDirectory();
    const config = testConfig(directory.path);
    const server = await startServer(config);
    const ask = async (path: string, init: RequestInit): Promise<Record<string, unknown>> =>
      (await (await fetch(`${server.url}${path}`, init)).json()) as Record<string, unknown>;
    const told = async (): Promise<string> => {
      const { token } = await ask('/v1/sessions', {
        ...{ method: 'POST', body: JSON.stringify(ROOT) },
        headers: { 'content-type': 'application/json' },
      });
      const headers = { authorization: `Bearer ${String(token)}` };
      return String((await ask('/v1/admin/node', { headers }))['configFingerprint']);
    };
    expect(await told()).toBe(fingerprintOf(config));
    const corsOrigins = ['https://app.example'];
    server.apply({ ...config, corsOrigins });
    expect(await told()).toBe(fingerprintOf({ ...config, corsOrigins }));
    await server.close();
  });

  it('knows no secret', () => {
    const secrets = {
      ...{ jwtSecret: 'other', rootPassword: 'other', encryptionKey: 'other' },
      access: { ...base.access, previousJwtSecrets: ['other'], setupToken: 'other' },
    };
    expect(fingerprintOf({ ...base, ...secrets })).toBe(fingerprintOf(base));
    const webhook = (secret: string): string =>
      fingerprintOf({ ...base, alertWebhook: { url: 'u', secret, allowPrivate: false } });
    expect(webhook('one')).toBe(webhook('another'));
  });
});

describe('recent calls', () => {
  it('are listed with who made them and how they ended, the newest first', async () => {
    await using server = await startTestServer();
    await server.asRoot('GET', '/v1/collections/things/documents/a');
    const headers = { 'x-request-id': 'the-last-one' };
    await server.request('GET', '/v1/status', { headers });
    const { body } = await server.asRoot('GET', '/v1/admin/activity?pageSize=2');
    expect(body.calls).toMatchObject([
      {
        ...{ method: 'molten.v1.SystemService/GetStatus', code: 'unauthenticated' },
        ...{ protocol: 'rest', address: '127.0.0.1', requestId: 'the-last-one' },
      },
      { method: 'molten.v1.DocumentService/GetDocument', code: 'not_found', subject: 'root' },
    ]);
    expect((await server.asRoot('GET', '/v1/admin/activity?pageSize=1001')).status).toBe(400);
  });
});

describe('alerts', () => {
  it('are raised and told, signed, when no snapshot is taken in time', async () => {
    const received: { readonly signature: string; readonly body: string }[] = [];
    const hook = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
      request.on('end', () => {
        received.push({ signature: String(request.headers['x-molten-signature']), body });
        response.end();
      });
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    const { port } = hook.address() as { readonly port: number };
    const secret = 'a webhook secret of thirty-two bytes or more';
    const url = `http://127.0.0.1:${String(port)}/alerts`;
    const clock = createManualClock();
    {
      await using server = await startTestServer(
        {
          snapshots: { schedule: '0 3 * * *', keep: 0, hook: undefined },
          alertWebhook: { url, secret, allowPrivate: true },
        },
        { clock },
      );
      expect((await server.asRoot('GET', '/v1/admin/alerts')).body.alerts ?? []).toEqual([]);
      clock.advance(30 * 3_600_000);
      await expect
        .poll(() => received.length, { timeout: 15_000, interval: 100 })
        .toBeGreaterThanOrEqual(1);
      const token = String(
        (
          await server.request('POST', '/v1/sessions', {
            body: { username: 'root', password: 'a password long enough for tests' },
          })
        ).body.token,
      );
      const { body } = await server.request('GET', '/v1/admin/alerts', { token });
      expect(body.alerts).toMatchObject([
        { rule: 'snapshotAge', severity: 'ALERT_SEVERITY_WARNING' },
      ]);
    }
    hook.close();
    const [first] = received;
    const [, seconds, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(first?.signature ?? '') ?? [];
    const wanted = createHmac('sha256', secret).update(`${String(seconds)}.${String(first?.body)}`);
    expect(mac).toBe(wanted.digest('hex'));
    expect(JSON.parse(first?.body ?? '')).toMatchObject({ state: 'raised', rule: 'snapshotAge' });
  });
});
