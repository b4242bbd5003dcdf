import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const place = '/v1/collections/things/documents';

describe('documents over REST', () => {
  it('are written, read, changed and deleted with entity tags as preconditions', async () => {
    const token = await server.rootToken();
    const body = { body: { fields: { n: 1 } } };
    const made = await server.request('PUT', `${place}/a`, {
      token,
      body,
      headers: { 'if-none-match': '*' },
    });
    expect(made.status).toBe(200);
    expect(made.body.result).toMatchObject({ key: 'a', version: '1', created: true });
    const again = await server.request('PUT', `${place}/a`, {
      token,
      body,
      headers: { 'if-none-match': '*' },
    });
    expect([again.status, again.body.reason]).toEqual([409, 'VERSION_MISMATCH']);
    const read = await server.asRoot('GET', `${place}/a`);
    const tag = read.headers.get('etag') ?? '';
    expect(tag).toBe(`"1.${String(read.body.document.sequence)}"`);
    expect(read.body.document.fields).toEqual({ n: 1 });
    for (const known of [tag, `"x", ${tag}`, `W/${tag}`, '*']) {
      const headers = { 'if-none-match': known };
      const cached = await server.request('GET', `${place}/a`, { token, headers });
      expect([known, cached.status, cached.text]).toEqual([known, 304, '']);
    }
    const change = { change: { transforms: [{ path: 'n', increment: 2 }] }, returnDocument: true };
    const stale = await server.request('PATCH', `${place}/a`, {
      token,
      body: change,
      headers: { 'if-match': '"9"' },
    });
    expect([stale.status, stale.body.reason]).toEqual([409, 'VERSION_MISMATCH']);
    const changed = await server.asRoot('PATCH', `${place}/a`, change);
    expect(changed.body.document.fields).toEqual({ n: 3 });
    const head = await server.request('HEAD', `${place}/a`, { token });
    const newer = head.headers.get('etag') ?? '';
    expect([head.status, newer.slice(0, 3), head.text]).toEqual([200, '"2.', '']);
    const gone = await server.asRoot('DELETE', `${place}/a`);
    expect(gone.body.result.deleted).toBe(true);
    expect((await server.asRoot('GET', `${place}/a`)).status).toBe(404);
    await server.asRoot('PUT', `${place}/a`, body);
    const put = async (match: string): Promise<number> => {
      const headers = { 'if-match': match };
      return (await server.request('PUT', `${place}/a`, { token, body, headers })).status;
    };
    // Version 1 again, and yet another document than the one that was read.
    expect([await put(tag), await put('"1"'), await put('W/"2"')]).toEqual([409, 200, 400]);
  });

  it('do not seem to heed a precondition where they cannot', async () => {
    const token = await server.rootToken();
    const headers = { 'if-match': '"99"' };
    const writes = [{ key: 'x', body: { fields: {} } }];
    for (const [method, path, body] of [
      ['POST', '/v1/collections/heed/documents:batchSet', { writes }],
      ['POST', '/v1/collections/heed/documents', { body: { fields: {} } }],
    ] as const) {
      const answer = await server.request(method, path, { token, body, headers });
      expect([answer.status, answer.body.detail]).toEqual([
        400,
        expect.stringContaining('if-match'),
      ]);
    }
  });

  it('are not all deleted by a filter that was left out', async () => {
    const path = '/v1/collections/whole/documents';
    await server.asRoot('POST', path, { body: { fields: {} } });
    const refused = await server.asRoot('POST', `${path}:deleteMatching`, {});
    expect([refused.status, refused.body.detail]).toEqual([400, expect.stringContaining('where')]);
    const { body } = await server.asRoot('POST', `${path}:deleteMatching`, { where: {} });
    expect(body.deletedCount).toBe('1');
  });

  it('are durable after a flush, whatever they were written with', async () => {
    const write = { body: { fields: {} }, durability: 'DURABILITY_ASYNC' };
    const { body } = await server.asRoot('PUT', `${place}/soon`, write);
    expect(body.commit.durability).toBe('DURABILITY_ASYNC');
    const flushed = await server.asRoot('POST', '/v1/flush', {});
    expect(BigInt(flushed.body.durableSequence)).toBeGreaterThanOrEqual(
      BigInt(body.commit.sequence),
    );
    expect((await server.request('POST', '/v1/flush', { body: {} })).status).toBe(401);
  });

  it('are found, counted, paged and explained', async () => {
    const writes = Array.from({ length: 5 }, (_, at) => ({
      key: `k${String(at)}`,
      body: { fields: { at, even: at % 2 === 0 } },
    }));
    await server.asRoot('POST', '/v1/collections/paged/documents:batchSet', { writes });
    const ask = (body: object): Promise<{ body: never }> =>
      server.asRoot('POST', '/v1/collections/paged/documents:query', body) as never;
    const query = {
      where: { even: true },
      sort: [{ path: 'at', direction: 'SORT_DIRECTION_DESCENDING' }],
    };
    const first = (await ask({ query, pageSize: 2, includeTotal: true })).body as {
      documents: { key: string }[];
      nextPageToken: string;
      totalSize: string;
    };
    expect(first.documents.map(({ key }) => key)).toEqual(['k4', 'k2']);
    expect(first.totalSize).toBe('3');
    const next = await ask({ query, pageSize: 2, pageToken: first.nextPageToken });
    expect((next.body as typeof first).documents.map(({ key }) => key)).toEqual(['k0']);
    const other = { query: { where: { even: false } }, pageToken: first.nextPageToken };
    expect((await ask(other)).body).toMatchObject({ reason: 'PAGE_TOKEN_INVALID' });
    const list = await server.asRoot(
      'GET',
      '/v1/collections/paged/documents?pageSize=2&keyPrefix=k&fields=at',
    );
    expect(list.body.documents).toMatchObject([{ fields: { at: 0 } }, { fields: { at: 1 } }]);
    const metrics = [{ name: 'sum', kind: 'METRIC_KIND_SUM', path: 'at' }];
    const sums = await server.asRoot('POST', '/v1/collections/paged/documents:aggregate', {
      ...{ metrics, groupBy: ['even'] },
    });
    expect(sums.body.groups).toEqual([
      { values: [false], figures: { sum: 4 } },
      { values: [true], figures: { sum: 6 } },
    ]);
  });

  it('of several collections change in one transaction, or not at all', async () => {
    const transaction = {
      compare: [{ collection: 'stock', key: 'apple', exists: false }],
      then: [
        { collection: 'stock', key: 'apple', set: { fields: { n: 1 } } },
        { collection: 'orders', key: 'o1', insert: { fields: { of: 'apple' } } },
      ],
      else: [
        {
          collection: 'stock',
          key: 'apple',
          update: { transforms: [{ path: 'n', increment: 1 }] },
        },
      ],
    };
    const send = async (): Promise<unknown> =>
      (await server.asRoot('POST', '/v1/transactions', transaction)).body;
    expect(await send()).toMatchObject({ succeeded: true });
    expect(await send()).toMatchObject({ succeeded: false });
    const { body } = await server.asRoot('GET', '/v1/collections/stock/documents/apple');
    expect(body.document).toMatchObject({ version: '2', fields: { n: 2 } });
  });

  it('are as they were at a sequence of the past', async () => {
    const write = async (n: number): Promise<string> => {
      const { body } = await server.asRoot('PUT', '/v1/collections/past/documents/k', {
        body: { fields: { n } },
      });
      return String(body.commit.sequence);
    };
    const before = await write(1);
    await write(2);
    const old = await server.asRoot(
      'GET',
      `/v1/collections/past/documents/k?readSequence=${before}`,
    );
    expect(old.body.document.fields).toEqual({ n: 1 });
    const future = await server.asRoot(
      'GET',
      '/v1/collections/past/documents/k?readSequence=999999',
    );
    expect([future.status, future.body.reason]).toEqual([400, 'SEQUENCE_IN_FUTURE']);
  });

  it('are written once, however often a request is repeated', async () => {
    const request = { body: { fields: { n: 1 } }, requestId: 'once' };
    const first = await server.asRoot('POST', '/v1/collections/once/documents', request);
    const second = await server.asRoot('POST', '/v1/collections/once/documents', request);
    expect(second.body.result.key).toBe(first.body.result.key);
    expect(second.body.commit.replayed).toBe(true);
    const other = { body: { fields: { n: 2 } }, requestId: 'once' };
    const reused = await server.asRoot('POST', '/v1/collections/once/documents', other);
    expect([reused.status, reused.body.reason]).toEqual([400, 'REQUEST_ID_REUSED']);
  });

  it('are only checked when nothing but that is asked', async () => {
    const body = { body: { fields: { n: 1 } }, validateOnly: true };
    const checked = await server.asRoot('PUT', '/v1/collections/checked/documents/k', body);
    expect(checked.body.result).toMatchObject({ version: '1', created: true, sequence: '0' });
    expect(checked.body).not.toHaveProperty('commit');
    expect((await server.asRoot('GET', '/v1/collections/checked')).status).toBe(404);
  });
});

describe('requests that cannot be understood', () => {
  it.each<[string, string, string, unknown, number, string]>([
    ['an unknown member', 'PUT', `${place}/a`, { body: { fields: {} }, extra: 1 }, 400, 'extra'],
    [
      'a key that differs from the path',
      'PUT',
      `${place}/a`,
      { key: 'b', body: { fields: {} } },
      400,
      'path',
    ],
    ['an unknown parameter', 'GET', `${place}?limit=1`, undefined, 400, 'limit'],
    [
      'a parameter given twice',
      'GET',
      `${place}?pageSize=1&pageSize=2`,
      undefined,
      400,
      'pageSize',
    ],
    ['a page size below 0', 'GET', `${place}?pageSize=-1`, undefined, 400, 'pageSize'],
    ['a broken escape', 'GET', '/v1/collections/%zz', undefined, 400, ''],
    ['malformed JSON', 'PUT', `${place}/a`, '{"body":', 400, 'not JSON'],
    ['a list', 'PUT', `${place}/a`, '[]', 400, 'not a JSON object'],
    ['a body that is too deep', 'PUT', `${place}/a`, deep(80), 400, 'deeper'],
    ['a body far too deep', 'PUT', `${place}/a`, deep(100_000), 400, ''],
    [
      'half of a surrogate pair',
      'PUT',
      `${place}/a`,
      '{"body":{"fields":{"a":"\\ud800"}}}',
      400,
      'surrogate',
    ],
    [
      'a path to sort by that is none',
      'POST',
      `${place}:query`,
      { query: { sort: [{ path: 'a' }, { path: 'a..b' }] } },
      400,
      'sort[1].path',
    ],
    [
      'a path of a figure that is none',
      'POST',
      `${place}:aggregate`,
      { metrics: [{ name: 'x', kind: 'METRIC_KIND_SUM', path: 'a..b' }] },
      400,
      'metrics[0].path',
    ],
    ['a number beyond all bounds', 'PUT', `${place}/a`, '{"body":{"fields":{"a":1e999}}}', 400, ''],
    ['a reserved name', 'PUT', `${place}/a`, { body: { fields: { _x: 1 } } }, 400, '_x'],
    ['a body without content', 'PUT', `${place}/a`, { body: {} }, 400, ''],
    ['a bad key', 'PUT', `${place}/a%2Fb`, { body: { fields: {} } }, 400, 'key'],
    [
      'a bad collection',
      'PUT',
      '/v1/collections/$users/documents/a',
      { body: { fields: {} } },
      400,
      'collection',
    ],
    ['a route that is none', 'GET', '/v1/nothing', undefined, 404, '/v1/nothing'],
    ['a method that is none', 'POST', `${place}/a`, {}, 405, 'PUT'],
  ])('%s is an error that names it', async (...[, method, path, body, status, text]) => {
    const token = await server.rootToken();
    const answer = await server.request(method, path, {
      token,
      ...(body === undefined ? {} : { body }),
    });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.body.detail).toContain(text);
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
  });

  it('is a body beyond the bound, with or without a length', async () => {
    const token = await server.rootToken();
    const body = `{"body":{"fields":{"a":"${'x'.repeat(11 * 1024 * 1024)}"}}}`;
    expect((await server.request('PUT', `${place}/a`, { token, body })).status).toBe(413);
  });

  it('is a type that is not JSON', async () => {
    const token = await server.rootToken();
    const headers = { 'content-type': 'application/xml' };
    expect(
      (await server.request('PUT', `${place}/a`, { token, body: '<a/>', headers })).status,
    ).toBe(415);
  });
});

/** A body whose one member is nested so many levels deep. */
function deep(levels: number): string {
  return `{"body":{"fields":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}}`;
}

describe('the OpenAPI document', () => {
  it('has every route, with references that lead somewhere', async () => {
    const { status, text, body } = await server.request('GET', '/openapi.json');
    expect(status).toBe(200);
    expect(body.openapi).toBe('3.1.0');
    const names = new Set(Object.keys(body.components.schemas));
    const references = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
    expect(references.filter((name) => name === undefined || !names.has(name))).toEqual([]);
    expect(Object.keys(body.paths)).toContain('/v1/collections/{collection}/documents/{key}');
    const operations = Object.values(
      body.paths as Record<string, Record<string, { description: string }>>,
    );
    const undocumented = operations
      .flatMap((item) => Object.values(item))
      .filter(({ description }) => description === '');
    expect(undocumented).toEqual([]);
  });

  it('is shown by a page that fetches nothing from elsewhere', async () => {
    const page = await server.request('GET', '/docs');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.text).not.toMatch(/https?:\/\//);
    const script = await server.request('GET', '/docs/reference.js');
    expect([script.status, script.headers.get('content-type')]).toEqual([
      200,
      'text/javascript; charset=utf-8',
    ]);
  });
});
