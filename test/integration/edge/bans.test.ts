import { describe, expect, it } from 'vitest';

import { createManualClock } from '../../support/manual-clock.ts';
import { parseMetrics } from '../../support/prometheus.ts';
import { ROOT, startTestServer, testConfig, type TestServer } from '../../support/server.ts';

const MINUTE_MS = 60_000;
const SETTINGS = {
  rateLimit: { requests: 5, windowMs: 60 * MINUTE_MS },
  bans: { refusals: 10, firstMs: MINUTE_MS },
  trustedProxies: ['127.0.0.1'],
};
const BAD = '198.51.100.7';

function from(address: string): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { 'x-forwarded-for': address } };
}

/** Goes on until it is banned. */
async function hammer(server: TestServer, address: string): Promise<void> {
  for (let n = 0; n < 16; n++) await server.request('GET', '/v1/health', from(address));
}

async function login(server: TestServer, address: string): Promise<string> {
  const answer = await server.request('POST', '/v1/sessions', { body: ROOT, ...from(address) });
  return String(answer.body.token);
}

describe('an address that goes on although it is refused', () => {
  it('is banned, by every protocol and also with a token, while others are served', async () => {
    const clock = createManualClock();
    await using server = await startTestServer(SETTINGS, { clock });
    const token = await login(server, BAD);
    await hammer(server, BAD);
    const banned = await server.request('GET', '/v1/status', { token, ...from(BAD) });
    expect([banned.status, banned.body.metadata]).toEqual([429, { limit: '0', policy: 'ban' }]);
    expect(banned.body.detail).toContain('this address is banned for 60 s');
    expect(banned.headers.get('retry-after')).toBe('60');
    const rpc = '/molten.v1.SystemService/GetHealth';
    const connect = await server.request('POST', rpc, { body: {}, ...from(BAD) });
    expect([connect.status, connect.body.code]).toEqual([429, 'resource_exhausted']);
    const other = await server.request('GET', '/v1/status', { token, ...from('198.51.100.8') });
    expect(other.status).toBe(200);
    clock.advance(MINUTE_MS);
    const limited = await server.request('GET', '/v1/status', { token, ...from(BAD) });
    expect(limited.body.metadata.policy).toBe('address');
    clock.advance(120 * MINUTE_MS);
    const fresh = await login(server, BAD);
    const served = await server.request('GET', '/v1/status', { token: fresh, ...from(BAD) });
    expect(served.status).toBe(200);
  });

  it('is banned longer each time', async () => {
    const clock = createManualClock();
    await using server = await startTestServer(SETTINGS, { clock });
    const waits = [];
    for (let n = 0; n < 3; n++) {
      await hammer(server, BAD);
      const { headers } = await server.request('GET', '/v1/health', from(BAD));
      waits.push(Number(headers.get('retry-after')));
      clock.advance((waits.at(-1) ?? 0) * 1000 + 120 * MINUTE_MS);
    }
    expect(waits).toEqual([60, 120, 240]);
  });

  it('is banned for guessing credentials too', async () => {
    const { rateLimit } = testConfig('');
    await using server = await startTestServer({ ...SETTINGS, rateLimit });
    const statuses = [];
    for (let n = 0; n < 12; n++) {
      const answer = await server.request('GET', '/v1/status', { token: 'guess', ...from(BAD) });
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([...Array<number>(11).fill(401), 429]);
  });

  it('is not banned when it is this machine or a proxy', async () => {
    await using server = await startTestServer(SETTINGS);
    for (let n = 0; n < 40; n++) await server.request('GET', '/v1/health');
    const { body } = await server.request('GET', '/v1/health');
    expect(body.metadata.policy).toBe('address');
  });
});

describe('bans', () => {
  it('are listed and cleared by operators alone, and recorded', async () => {
    await using server = await startTestServer(SETTINGS);
    await hammer(server, BAD);
    await hammer(server, '2001:db8:1:2::9');
    const operator = '203.0.113.1';
    const token = await login(server, operator);
    const listed = await server.request('GET', '/v1/admin/bans', { token, ...from(operator) });
    expect(listed.body).toMatchObject({
      banCount: 2,
      bans: [{ address: '2001:db8:1:2::/64', count: 1 }, { address: BAD }],
    });
    const narrow = await server.request('POST', '/v1/tokens', {
      ...{ token, body: { clientId: 'c', scopes: ['read:*:*'] }, ...from(operator) },
    });
    const denied = await server.request('GET', '/v1/admin/bans', {
      ...{ token: String(narrow.body.token), ...from('203.0.113.2') },
    });
    expect(denied.status).toBe(403);
    const clear = (body: unknown) =>
      server.request('POST', '/v1/admin/bans:clear', { token, body, ...from('203.0.113.3') });
    expect((await clear({})).status).toBe(400);
    expect((await clear({ addresses: [BAD], all: true })).status).toBe(400);
    const misspelt = await clear({ addresses: ['192.0.2'] });
    expect(misspelt.body.detail).toContain('must be an IP address');
    const cleared = await clear({ addresses: [BAD, '192.0.2.1'] });
    expect([cleared.status, cleared.body]).toEqual([200, { addresses: [BAD] }]);
    // A ban is lifted; the limit that it broke is not.
    const after = await server.request('GET', '/v1/health', from(BAD));
    expect(after.body.metadata.policy).toBe('address');
    const again = await server.request('GET', '/v1/admin/bans', { token, ...from('203.0.113.3') });
    expect(again.body.banCount).toBe(1);
    await expect
      .poll(async () => await actions(server, token), { timeout: 10_000 })
      .toEqual(expect.arrayContaining(['ban.begin', 'ban.clear', 'access.denied']));
  });

  it('are told by metrics, with the limits that they follow from', async () => {
    await using server = await startTestServer({
      ...{ ...SETTINGS, metrics: { host: '127.0.0.1', port: 0 } },
    });
    await hammer(server, BAD);
    const scraped = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
    const valueOf = (name: string, label?: string): number | undefined =>
      scraped
        .get(name)
        ?.samples.find(({ labels }) => label === undefined || Object.values(labels).includes(label))
        ?.value;
    expect(valueOf('molten_bans')).toBe(1);
    expect(valueOf('molten_bans_total')).toBe(1);
    expect(valueOf('molten_rate_limit_refusals_total', 'address')).toBe(11);
    expect(valueOf('molten_rate_limit_refusals_total', 'ban')).toBe(0);
    expect(valueOf('molten_rate_limited_total')).toBe(11);
    expect(valueOf('molten_limit', 'rate-limit-requests')).toBe(5);
    expect(valueOf('molten_limit', 'max-connections-per-address')).toBe(1000);
    expect(valueOf('molten_connections')).toBeGreaterThan(0);
  });
});

async function actions(server: TestServer, token: string): Promise<readonly string[]> {
  const { body } = await server.request('GET', '/v1/auditRecords?page_size=100', {
    ...{ token, ...from(`203.0.113.${String(10 + asked++)}`) },
  });
  return (body.records as readonly { readonly action: string }[]).map(({ action }) => action);
}

let asked = 0;
