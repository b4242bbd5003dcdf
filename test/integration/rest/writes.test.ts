/** Writes as the contract promises them, and what collections make of them, over REST. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createLogger } from '../../../src/platform/logger.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';

let server: TestServer;
const log: string[] = [];

beforeAll(async () => {
  const logger = createLogger({ level: 'info', destination: { write: (line) => log.push(line) } });
  server = await startTestServer({}, { logger });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** A safety net. */
const SWEPT_MS = 20_000;

const place = (collection: string): string => `/v1/collections/${collection}/documents`;

async function fill(
  collection: string,
  documents: Readonly<Record<string, object>>,
): Promise<void> {
  const writes = Object.entries(documents).map(([key, fields]) => ({ key, body: { fields } }));
  await server.asRoot('POST', `${place(collection)}:batchSet`, { writes });
}

async function read(collection: string): Promise<Readonly<Record<string, unknown>>> {
  const { body } = await server.asRoot('GET', place(collection));
  const documents = (body.documents ?? []) as readonly { key: string; fields: unknown }[];
  return Object.fromEntries(documents.map(({ key, fields }) => [key, fields]));
}

describe('deleting what matches', () => {
  const path = `${place('matching')}:deleteMatching`;
  const where = { n: { $gte: 2 } };

  it('counts without deleting when it is only asked to validate', async () => {
    await fill('matching', { a: { n: 1 }, b: { n: 2 }, c: { n: 3 } });
    const before = await server.asRoot('GET', '/v1/status');
    const asked = await server.asRoot('POST', path, { where, validateOnly: true });
    expect(asked.body).toEqual({ deletedCount: '2' });
    expect(Object.keys(await read('matching'))).toEqual(['a', 'b', 'c']);
    const after = await server.asRoot('GET', '/v1/status');
    expect(after.body.sequence).toBe(before.body.sequence);
    const done = await server.asRoot('POST', path, { where });
    expect([done.body.deletedCount, Object.keys(done.body)]).toEqual([
      '2',
      expect.arrayContaining(['commit']),
    ]);
    expect(Object.keys(await read('matching'))).toEqual(['a']);
  });

  it('tells who may only delete nothing of what is there', async () => {
    const token = await server.tokenWith(['delete:matching:*']);
    const body = { where, validateOnly: true };
    expect((await server.request('POST', path, { token, body })).status).toBe(403);
  });
});

describe('updating several documents', () => {
  const update = (missing?: string): Promise<TestResponse> =>
    server.asRoot('POST', `${place('several')}:batchUpdate`, {
      updates: ['a', 'none', 'b'].map((key) => ({ key, change: { merge: { seen: true } } })),
      ...(missing === undefined ? {} : { missing }),
    });

  it.each([undefined, 'MISSING_POLICY_FAIL'])(
    'changes nothing when one is missing (%s)',
    async (policy) => {
      await fill('several', { a: { n: 1 }, b: { n: 2 } });
      const { status, body } = await update(policy);
      expect([status, body.reason, body.metadata.key]).toEqual([404, 'DOCUMENT_NOT_FOUND', 'none']);
      expect(await read('several')).toEqual({ a: { n: 1 }, b: { n: 2 } });
    },
  );

  it('leaves out what is missing', async () => {
    await fill('several', { a: { n: 1 }, b: { n: 2 } });
    const { status, body } = await update('MISSING_POLICY_SKIP');
    expect(status).toBe(200);
    expect(body.results.map(({ key }: { key: string }) => key)).toEqual(['a', 'b']);
    expect(await read('several')).toEqual({ a: { n: 1, seen: true }, b: { n: 2, seen: true } });
  });

  it('makes what is missing, from an empty object', async () => {
    await fill('several', { a: { n: 1 }, b: { n: 2 } });
    const { status, body } = await update('MISSING_POLICY_CREATE');
    expect(status).toBe(200);
    const made = body.results.map(({ key, created = false }: never) => [key, created]);
    expect(made).toEqual([
      ['a', false],
      ['none', true],
      ['b', false],
    ]);
    expect((await read('several'))['none']).toEqual({ seen: true });
  });
});

describe('a schema that only warns', () => {
  it('takes what breaks it, and logs where, but not what was written', async () => {
    const schema = { type: 'object', required: ['n'], properties: { n: { type: 'number' } } };
    const settings = { schema, schemaEnforcement: 'SCHEMA_ENFORCEMENT_WARN' };
    const made = await server.asRoot('POST', '/v1/collections', { collection: 'warned', settings });
    expect(made.body).toMatchObject({ collection: { settings } });
    log.length = 0;
    await fill('warned', { fits: { n: 1 } });
    expect(log.filter((line) => line.includes('schema'))).toEqual([]);
    await fill('warned', { breaks: { n: 'a private word' } });
    expect((await read('warned'))['breaks']).toEqual({ n: 'a private word' });
    const warnings = log.filter((line) => line.includes('schema'));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('"breaks"');
    expect(warnings[0]).toContain('"warned"');
    expect(log.join('')).not.toContain('a private word');
  });

  it('refuses once it is enforced', async () => {
    const settings = { schemaEnforcement: 'SCHEMA_ENFORCEMENT_ENFORCE' };
    const path = '/v1/collections/warned';
    const mask = { settings, updateMask: 'schemaEnforcement' };
    expect((await server.asRoot('PATCH', path, mask)).status).toBe(200);
    const refused = await server.asRoot('PUT', `${place('warned')}/x`, { body: { fields: {} } });
    expect([refused.status, refused.body.reason]).toEqual([400, 'SCHEMA_VIOLATION']);
  });
});

describe('a strict server', () => {
  it('writes only into collections that were made', async () => {
    await using strict = await startTestServer({ strict: true });
    const body = { fields: { n: 1 } };
    const then = [{ collection: 'made', key: 'b', set: body }];
    const writes = (): Promise<readonly TestResponse[]> =>
      Promise.all([
        strict.asRoot('PUT', `${place('made')}/a`, { body }),
        strict.asRoot('POST', '/v1/transactions', { then }),
        strict.asRoot('POST', '/set', { collection: 'made', data: { c: {} } }),
      ]);
    const [put, transaction, set] = await writes();
    expect([put?.status, put?.body.reason]).toEqual([404, 'COLLECTION_NOT_FOUND']);
    expect([transaction?.status, transaction?.body.reason]).toEqual([404, 'COLLECTION_NOT_FOUND']);
    expect([set?.status, set?.body]).toEqual([
      404,
      { error: 'Collection not found', statusCode: 404 },
    ]);
    expect((await strict.asRoot('GET', '/v1/collections')).body.collections ?? []).toEqual([]);
    await strict.asRoot('POST', '/v1/collections', { collection: 'made' });
    expect((await writes()).map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

describe('documents whose time is over', () => {
  it('are gone at once for reads and counts, and for documentCount once they are swept', async () => {
    const clock = createManualClock(Date.now());
    await using brief = await startTestServer({ sweepIntervalMs: 10 }, { clock });
    const settings = { documentTtl: { after: '60s' } };
    await brief.asRoot('POST', '/v1/collections', { collection: 'brief', settings });
    for (const key of ['a', 'b']) {
      await brief.asRoot('PUT', `${place('brief')}/${key}`, { body: { fields: {} } });
      if (key === 'a') clock.advance(30_000);
    }
    clock.advance(30_000);
    expect((await brief.asRoot('GET', `${place('brief')}/a`)).status).toBe(404);
    const query = { includeTotal: true };
    const page = await brief.asRoot('POST', `${place('brief')}:query`, query);
    expect([page.body.totalSize, page.body.documents.length]).toEqual(['1', 1]);
    const metrics = [{ name: 'all', kind: 'METRIC_KIND_COUNT' }];
    const counted = await brief.asRoot('POST', `${place('brief')}:aggregate`, { metrics });
    expect(counted.body.groups[0].figures).toEqual({ all: 1 });
    await expect
      .poll(
        async () => {
          const { body } = await brief.asRoot('GET', '/v1/collections/brief');
          return body.collection.documentCount as unknown;
        },
        { timeout: SWEPT_MS },
      )
      .toBe('1');
  });
});
