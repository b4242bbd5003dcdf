/** Nobody works for who is gone: a deadline, and a caller who leaves, end the work in the store. */
import { setTimeout as wait } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { createLogger } from '../../../src/platform/logger.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

const DOCUMENTS = 10_000;

interface QueryLine {
  readonly rpc?: string;
  /** Absent: the query did not come to its end. */
  readonly examined?: number;
}

/** A server with much to read, and what it logs of its queries. */
async function startLarge(): Promise<TestServer & { nextQuery(): Promise<QueryLine> }> {
  const lines: QueryLine[] = [];
  const write = (line: string): void => {
    const parsed = JSON.parse(line) as QueryLine;
    if (parsed.rpc !== undefined) lines.push(parsed);
  };
  const logger = createLogger({ level: 'info', destination: { write } });
  const server = await startTestServer({ slowQueryMs: 1 }, { logger });
  for (let at = 0; at < DOCUMENTS; at += 1000) {
    const writes = Array.from({ length: 1000 }, (_, n) => ({
      ...{ key: `k${String(at + n)}`, body: { fields: { n: at + n } } },
    }));
    await server.asRoot('POST', '/v1/collections/things/documents:batchSet', { writes });
  }
  return Object.assign(server, {
    async nextQuery() {
      while (lines.length === 0) await wait(5);
      const [line] = lines.splice(0);
      if (line === undefined) throw new Error('there is a line');
      return line;
    },
  });
}

const PATH = '/v1/collections/things/documents:aggregate';
const BODY = { groupBy: ['n'], metrics: [{ name: 'all', kind: 'METRIC_KIND_COUNT' }] };

describe('a query', () => {
  it('ends in the store with its deadline, or with its caller', async () => {
    await using server = await startLarge();
    const token = await server.rootToken();
    const whole = await server.request('POST', PATH, { body: { ...BODY, groupBy: [] }, token });
    expect(whole.status).toBe(200);
    expect((await server.nextQuery()).examined).toBe(DOCUMENTS);

    const headers = { 'x-timeout-ms': '5' };
    const late = await server.request('POST', PATH, { body: BODY, token, headers });
    expect([late.status, late.body.reason]).toEqual([504, 'DEADLINE_EXCEEDED']);
    expect((await server.nextQuery()).examined).toBeUndefined();

    const leaver = new AbortController();
    const left = fetch(`${server.url}${PATH}`, {
      ...{ method: 'POST', body: JSON.stringify(BODY), signal: leaver.signal },
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    });
    await wait(15);
    leaver.abort();
    await expect(left).rejects.toThrow('abort');
    expect((await server.nextQuery()).examined).toBeUndefined();
  });
});
