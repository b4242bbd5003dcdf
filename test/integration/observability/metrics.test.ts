/** What a scraper reads: all that is documented, in the exact format, and nothing that a caller sent. */
import { request as httpRequest } from 'node:http';

import { describe, expect, it } from 'vitest';

import { METRICS } from '../../../src/platform/metric-catalogue.ts';
import { REASONS } from '../../../src/errors/reason.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { parseMetrics, valueOf, type ScrapedFamily } from '../../support/prometheus.ts';
import { ROOT, startTestServer, type TestServer } from '../../support/server.ts';

const PLACE = { metrics: { host: '127.0.0.1', port: 0 } } as const;
const SERIES_MAX = 2000;

async function scrape(server: TestServer): Promise<ReadonlyMap<string, ScrapedFamily>> {
  const response = await fetch(server.metricsUrl ?? '');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parseMetrics(await response.text());
}

describe('the listener for scrapers', () => {
  it('has every documented metric, of its kind and with its labels, and no other', async () => {
    await using server = await startTestServer(PLACE);
    await server.asRoot('PUT', '/v1/collections/things/documents/a', { body: { fields: {} } });
    const families = await scrape(server);
    expect([...families.keys()].sort()).toEqual(Object.keys(METRICS).sort());
    for (const [name, { kind, labels }] of Object.entries(METRICS)) {
      const family = families.get(name);
      expect([name, family?.kind]).toEqual([name, kind]);
      for (const { labels: given } of family?.samples ?? []) {
        const names = Object.keys(given).filter((label) => label !== 'le');
        expect([name, names.sort()]).toEqual([name, [...labels].sort()]);
      }
    }
  });

  it('is absent unless it is asked for, and not on the one port', async () => {
    await using server = await startTestServer();
    expect(server.metricsUrl).toBeUndefined();
    expect((await server.request('GET', '/metrics')).status).toBe(404);
  });

  it('tells nothing else, and takes nothing', async () => {
    await using server = await startTestServer(PLACE);
    const base = new URL(server.metricsUrl ?? '');
    for (const path of ['/', '/v1/health', '/metrics/x', '/metricsx']) {
      expect([path, (await fetch(new URL(path, base))).status]).toEqual([path, 404]);
    }
    expect((await fetch(base, { method: 'POST', body: 'x' })).status).toBe(404);
    expect((await fetch(base, { method: 'HEAD' })).status).toBe(200);
  });

  it('stops with the server, also while a scraper hangs', async () => {
    const server = await startTestServer(PLACE);
    const hanging = httpRequest(server.metricsUrl ?? '', { method: 'GET', agent: false });
    hanging.on('error', () => undefined);
    hanging.setHeader('content-length', '10');
    hanging.flushHeaders();
    await server[Symbol.asyncDispose]();
    await expect(fetch(server.metricsUrl ?? '')).rejects.toThrow();
    hanging.destroy();
  });
});

describe('counters', () => {
  it('go up by one for one call that fails, under its method, protocol, code and reason', async () => {
    await using server = await startTestServer(PLACE);
    await server.rootToken();
    const before = await scrape(server);
    const labels = {
      ...{ method: 'molten.v1.DocumentService/GetDocument', protocol: 'rest' },
      code: 'not_found',
    };
    expect((await server.asRoot('GET', '/v1/collections/none/documents/a')).status).toBe(404);
    const after = await scrape(server);
    const grown = (name: string, some: Readonly<Record<string, string>>): number =>
      valueOf(after, name, some) - valueOf(before, name, some);
    expect(grown('molten_rpc_requests_total', labels)).toBe(1);
    expect(grown('molten_rpc_requests_total', {})).toBe(1);
    expect(grown('molten_rpc_failures_total', {})).toBe(1);
    expect(valueOf(after, 'molten_rpc_in_flight')).toBe(0);
    const { samples = [] } = after.get('molten_rpc_duration_seconds') ?? {};
    const count = samples.find(
      ({ name, labels: { method } }) => name.endsWith('_count') && method === labels.method,
    );
    expect(count?.value).toBe(1);
  });

  it('tell sign-ins, refused credentials and refused scopes apart', async () => {
    await using server = await startTestServer(PLACE);
    await server.rootToken();
    await server.request('POST', '/v1/sessions', { body: { ...ROOT, password: 'wrong' } });
    await server.request('GET', '/v1/status');
    await server.request('GET', '/v1/status', { token: 'no token' });
    await server.request('GET', '/v1/status', { token: await server.tokenWith(['read:a:*']) });
    const families = await scrape(server);
    expect(valueOf(families, 'molten_logins_total', { result: 'success' })).toBe(1);
    expect(valueOf(families, 'molten_logins_total', { result: 'failure' })).toBe(1);
    const failures = (reason: string): number =>
      valueOf(families, 'molten_auth_failures_total', { reason });
    expect(failures('CREDENTIAL_MISSING')).toBe(1);
    expect(failures('CREDENTIAL_INVALID')).toBe(2);
    expect(failures('SCOPE_MISSING')).toBe(1);
    expect(valueOf(families, 'molten_users')).toBe(1);
    expect(valueOf(families, 'molten_sessions')).toBe(1);
    expect(valueOf(families, 'molten_tokens')).toBe(1);
  });

  it('tell what was committed, how many shared a commit, and how long the disk took', async () => {
    await using server = await startTestServer({ ...PLACE, writeMode: 'sync' });
    await server.rootToken();
    const before = await scrape(server);
    const put = async (n: number): Promise<unknown> =>
      await server.asRoot('PUT', `/v1/collections/things/documents/k${String(n)}`, {
        body: { fields: { n } },
      });
    await Promise.all(Array.from({ length: 50 }, (_, n) => put(n)));
    await server.asRoot('GET', '/v1/collections/things/documents/k1');
    await server.asRoot('GET', '/v1/collections/things/documents/k1');
    const after = await scrape(server);
    const grown = (name: string): number => valueOf(after, name) - valueOf(before, name);
    expect(grown('molten_commits_total')).toBeGreaterThanOrEqual(50);
    expect(grown('molten_log_head_sequence')).toBeGreaterThanOrEqual(50);
    expect(valueOf(after, 'molten_documents')).toBe(50);
    expect(grown('molten_cache_hits_total')).toBeGreaterThanOrEqual(1);
    const sampleOf = (name: string): number =>
      [...after.values()].flatMap(({ samples }) => samples).find((one) => one.name === name)
        ?.value ?? 0;
    expect(sampleOf('molten_fsync_duration_seconds_count')).toBeGreaterThanOrEqual(1);
    expect(sampleOf('molten_commit_group_size_sum')).toBe(valueOf(after, 'molten_commits_total'));
    expect(valueOf(after, 'molten_process_resident_bytes')).toBeGreaterThan(1e6);
    expect(valueOf(after, 'molten_disk_size_bytes')).toBeGreaterThan(0);
  });
});

describe('the age of the log', () => {
  it('is that of its oldest entry', async () => {
    const clock = createManualClock();
    await using server = await startTestServer(PLACE, { clock });
    const ageOf = async (): Promise<number> =>
      valueOf(await scrape(server), 'molten_log_oldest_age_seconds');
    expect(await ageOf()).toBe(0);
    clock.advance(3_600_000);
    await server.asRoot('PUT', '/v1/collections/things/documents/a', { body: { fields: {} } });
    expect(await ageOf()).toBe(3600);
  });
});

describe('labels', () => {
  it('hold nothing that a caller sent, whatever it sends', async () => {
    await using server = await startTestServer(PLACE);
    const marks = ['mark-collection', 'mark-key', 'mark-user', 'mark-client', 'mark-header'];
    const headers = { 'x-request-id': 'mark-header', 'user-agent': 'mark-header' };
    await server.asRoot('PUT', '/v1/collections/mark-collection/documents/mark-key', {
      body: { fields: { v: 'mark-value' } },
    });
    await server.tokenWith(['read:mark-collection:*'], 'mark-client');
    const body = { username: 'mark-user', password: 'mark-password' };
    await server.request('POST', '/v1/sessions', { body, headers });
    await server.request('GET', '/mark-path', { headers });
    await server.request('POST', '/molten.v1.MarkService/mark-method', { body: {}, headers });
    for (let n = 0; n < 100; n++) {
      await server.asRoot('GET', `/v1/collections/mark-${String(n)}/documents/mark`);
    }
    const families = await scrape(server);
    const all = [...families.values()].flatMap(({ samples }) => samples);
    const values = new Set(all.flatMap(({ labels: { le, ...labels } }) => Object.values(labels)));
    expect([...values].filter((value) => /mark/i.test(value))).toEqual([]);
    expect(marks.some((mark) => JSON.stringify([...values]).includes(mark))).toBe(false);
    expect(all.length).toBeLessThan(SERIES_MAX);
    const reasons = all.flatMap(({ name, labels }) =>
      name === 'molten_rpc_failures_total' ? [labels['reason']] : [],
    );
    expect(reasons.filter((reason) => !REASONS.some((one) => one === reason))).toEqual([]);
  });
});
