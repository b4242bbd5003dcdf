import { describe, expect, it } from 'vitest';

import { createMolten } from '../support/molten.ts';
import { ROOT, startTestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

interface StatsJson {
  readonly rpcs: readonly { readonly method: string; readonly callCount: string }[];
  readonly store: { readonly sequence: string };
}

describe('molten stats and molten alerts', () => {
  it('show how calls do and what is wrong, to those who may see it', async () => {
    using directory = createTemporaryDirectory();
    await using server = await startTestServer();
    const molten = createMolten(directory.path, { MOLTEN_PASSWORD: ROOT.password });
    await molten('login', '--url', server.url, '--username', ROOT.username);

    const stats = await molten.json<StatsJson>('stats');
    const login = stats.rpcs.find(({ method }) => method === 'molten.v1.AuthService/Login');
    expect(login?.callCount).toBe('1');
    expect(Number(stats.store.sequence)).toBeGreaterThan(0);
    const { stdout } = await molten('stats');
    expect(stdout).toContain('"rpc":"AuthService/Login"');

    expect(await molten.json('alerts')).toEqual({ alerts: [] });
    const token = await server.tokenWith(['read:*:*']);
    const other = createMolten(directory.path, { MOLTEN_TOKEN: token, MOLTEN_URL: server.url });
    expect((await other('alerts')).code).toBe(4);
  });
});

describe('molten query-limits', () => {
  it('shows how much one query may do, and changes it', async () => {
    using directory = createTemporaryDirectory();
    await using server = await startTestServer();
    const molten = createMolten(directory.path, { MOLTEN_PASSWORD: ROOT.password });
    await molten('login', '--url', server.url, '--username', ROOT.username);

    const rows = await molten.json<readonly object[]>('query-limits', 'get');
    expect(rows[0]).toEqual({ limit: 'rows', unit: 'documents', now: 1000, ceiling: 1000 });
    const changed = await molten('query-limits', 'set', '--rows', '5', '--time', '0');
    expect(changed.stdout).toContain('{"limit":"rows","unit":"documents","now":5,"ceiling":1000}');
    expect((await molten('query-limits', 'set')).code).toBe(2);
    const above = await molten('query-limits', 'set', '--time', '10001');
    expect([above.code, above.stderr]).toEqual([3, expect.stringContaining('--max-query-time')]);
  });
});

describe('molten bans', () => {
  it('lists and clears banned addresses', async () => {
    using directory = createTemporaryDirectory();
    await using server = await startTestServer({
      bans: { refusals: 3, firstMs: 60_000 },
      trustedProxies: ['127.0.0.1'],
    });
    const molten = createMolten(directory.path, { MOLTEN_PASSWORD: ROOT.password });
    await molten('login', '--url', server.url, '--username', ROOT.username);
    const headers = { 'x-forwarded-for': '198.51.100.7' };
    for (let n = 0; n < 4; n++) {
      await server.request('GET', '/v1/status', { token: 'guess', headers });
    }
    const { bans } = await molten.json<{ bans: readonly { address: string }[] }>('bans', 'list');
    expect(bans.map(({ address }) => address)).toEqual(['198.51.100.7']);
    expect((await molten('bans', 'clear')).code).toBe(2);
    expect((await molten('bans', 'clear', '198.51.100.7')).stdout).toContain('198.51.100.7');
    expect((await server.request('GET', '/v1/health', { headers })).status).toBe(200);
    expect((await molten('bans', 'clear', '--all')).stdout).toContain('nobody was banned');
  });
});
