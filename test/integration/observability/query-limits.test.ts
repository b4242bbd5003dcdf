/** How much one query may do: told, changed, bounded, recorded and kept. */
import { describe, expect, it } from 'vitest';

import { QUERY_BOUNDS } from '../../../src/domain/quota/query-limits.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

const PATH = '/v1/admin/queryLimits';
const THINGS = '/v1/collections/things/documents';
const CEILING = { rowsMax: 1000, timeMsMax: 5000, examinedMax: 100_000, memoryBytesMax: 1_000_000 };
const SHOWN = {
  ...{ rowsMax: 1000, timeMsMax: 5000, examinedMax: '100000', memoryBytesMax: '1000000' },
};

async function startFilled(documents: number): Promise<TestServer> {
  const server = await startTestServer({ queryCeiling: CEILING });
  for (let at = 0; at < documents; at += 1000) {
    const writes = Array.from({ length: Math.min(1000, documents - at) }, (_, n) => ({
      ...{ key: `k${String(at + n)}`, body: { fields: { n: at + n, text: 'x'.repeat(80) } } },
    }));
    await server.asRoot('POST', `${THINGS}:batchSet`, { writes });
  }
  return server;
}

describe('query limits', () => {
  it('are the ceiling until somebody changes them, and again with 0', async () => {
    await using server = await startFilled(0);
    const before = (await server.asRoot('GET', PATH)).body;
    expect(before).toEqual({ limits: SHOWN, ceiling: SHOWN, updatedBy: '' });
    const { body } = await server.asRoot('PATCH', PATH, { rowsMax: 5, timeMsMax: 100 });
    expect(body.limits).toEqual({ ...SHOWN, rowsMax: 5, timeMsMax: 100 });
    expect(body).toMatchObject({ ceiling: SHOWN, updatedBy: 'root' });
    expect(body.updateTime).toMatch(/^\d{4}-/);
    await server.asRoot('PATCH', PATH, { rowsMax: 0 });
    expect((await server.asRoot('GET', PATH)).body.limits).toEqual({ ...SHOWN, timeMsMax: 100 });
  });

  it('bound queries from then on, and the refusal names the bound', async () => {
    await using server = await startFilled(5000);
    const query = (body: object): ReturnType<TestServer['asRoot']> =>
      server.asRoot('POST', `${THINGS}:query`, body);
    const sorted = {
      query: { sort: [{ path: 'n', direction: 'SORT_DIRECTION_DESCENDING' }] },
      pageSize: 50,
    };
    const group = {
      ...{ groupBy: ['n'], metrics: [{ name: 'all', kind: 'METRIC_KIND_COUNT' }] },
    };
    const sortedBefore = await query(sorted);
    expect([sortedBefore.status, sortedBefore.body.documents?.length]).toEqual([200, 50]);

    await server.asRoot('PATCH', PATH, { rowsMax: 7 });
    const page = (await query({ pageSize: 50 })).body;
    expect(page.documents).toHaveLength(7);
    expect(page.nextPageToken).not.toBe('');
    expect((await server.asRoot('GET', `${THINGS}?pageSize=50`)).body.documents).toHaveLength(7);

    const refused = async (
      change: object,
      ask: () => ReturnType<TestServer['asRoot']>,
    ): Promise<readonly unknown[]> => {
      const changed = await server.asRoot('PATCH', PATH, change);
      expect(changed.status).toBe(200);
      const { status, body } = await ask();
      await server.asRoot('PATCH', PATH, { ...NO_CHANGE });
      const { reason, metadata } = body as { reason: string; metadata?: { bound?: string } };
      return [status, reason, metadata?.bound];
    };
    expect(
      await refused({ examinedMax: '4999' }, () =>
        server.asRoot('POST', `${THINGS}:aggregate`, group),
      ),
    ).toEqual([429, 'QUERY_LIMIT_EXCEEDED', 'examinedMax']);
    expect(
      await refused({ timeMsMax: 1 }, () => server.asRoot('POST', `${THINGS}:aggregate`, group)),
    ).toEqual([429, 'QUERY_LIMIT_EXCEEDED', 'timeMs']);
    expect(await refused({ memoryBytesMax: '2000' }, () => query(sorted))).toEqual([
      ...[429, 'QUERY_LIMIT_EXCEEDED', 'memoryBytesMax'],
    ]);
    expect((await query(sorted)).body.documents).toHaveLength(50);
  });

  it('stay below what the configuration allows', async () => {
    await using server = await startFilled(0);
    const above = await server.asRoot('PATCH', PATH, { rowsMax: 10, timeMsMax: 5001 });
    expect(above.body).toMatchObject({ status: 400, reason: 'ARGUMENT_INVALID' });
    expect(above.body.detail).toContain('--max-query-time');
    const wild = await server.asRoot('PATCH', PATH, { rowsMax: 1001 });
    expect(wild.body).toMatchObject({ status: 400, reason: 'ARGUMENT_INVALID' });
    // Nothing of a change that is refused happens.
    expect((await server.asRoot('GET', PATH)).body.limits).toEqual(SHOWN);
  });

  it('are recorded with who changed them to what', async () => {
    await using server = await startFilled(0);
    await server.asRoot('PATCH', PATH, { rowsMax: 5, examinedMax: '77' });
    const { body } = await server.asRoot('GET', '/v1/auditRecords?action=queryLimits.update');
    expect(body.records).toMatchObject([
      {
        actor: 'root',
        result: 'AUDIT_RESULT_SUCCESS',
        details: { rows_max: '5', examined_max: '77' },
      },
    ]);
  });

  it('hold after a restart, below the ceiling of that one', async () => {
    await using server = await startFilled(0);
    await server.asRoot('PATCH', PATH, { rowsMax: 5, timeMsMax: 4000 });
    const token = await server.rootToken();
    await server.close();
    const queryCeiling = { ...QUERY_BOUNDS, timeMsMax: 3000 };
    await using again = await startTestServer({ dbPath: server.dbPath, queryCeiling });
    const { body } = await again.request('GET', PATH, { token });
    expect(body.limits).toMatchObject({ rowsMax: 5, timeMsMax: 3000, examinedMax: '1000000' });
  });
});

const NO_CHANGE = { rowsMax: 0, timeMsMax: 0, examinedMax: '0', memoryBytesMax: '0' };
