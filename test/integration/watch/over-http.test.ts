import { describe, expect, it } from 'vitest';

import { startTestServer, type TestServer } from '../../support/server.ts';

/** Pieces of a stream, split at an end mark, until enough have come. */
async function readPieces(
  server: TestServer,
  { path, init, mark, count }: { path: string; init: RequestInit; mark: string; count: number },
): Promise<{ readonly type: string; readonly pieces: readonly string[] }> {
  const abort = new AbortController();
  const response = await fetch(`${server.url}${path}`, { ...init, signal: abort.signal });
  expect(response.status).toBe(200);
  const decoder = new TextDecoder();
  let text = '';
  let pieces: readonly string[] = [];
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    pieces = text.split(mark).slice(0, -1);
    if (pieces.length >= count) break;
  }
  abort.abort();
  return { type: response.headers.get('content-type') ?? '', pieces };
}

async function prepare(server: TestServer): Promise<Readonly<Record<string, string>>> {
  for (const n of [1, 2, 3]) {
    const path = `/v1/collections/c/documents/k${String(n)}`;
    await server.asRoot('PUT', path, { body: { fields: { n } } });
  }
  return { authorization: `Bearer ${await server.rootToken()}` };
}

function memberOf(event: string, name: string): string {
  const line = event.split('\n').find((one) => one.startsWith(`${name}: `));
  return line?.slice(name.length + 2) ?? '';
}

interface EventJson {
  readonly kind: string;
  readonly documents?: readonly { readonly key: string }[];
}

describe('server-sent events', () => {
  it('carry each event with its kind and its token, and go on from Last-Event-ID', async () => {
    await using server = await startTestServer();
    const headers = { ...(await prepare(server)), accept: 'text/event-stream' };
    const where = encodeURIComponent('{"n":{"$gt":1}}');
    const path = `/v1/watch?collection=c&where=${where}&afterSequence=0`;
    const options = { path, mark: '\n\n', count: 4 };
    const { type, pieces } = await readPieces(server, { ...options, init: { headers } });
    expect(type).toBe('text/event-stream; charset=utf-8');
    const [retry, started, ...commits] = pieces;
    expect(retry).toBe('retry: 2000');
    expect(memberOf(started ?? '', 'event')).toBe('started');
    const keys = commits.map((one) => String(JSON.parse(memberOf(one, 'data')).changes[0].key));
    expect(keys).toEqual(['k2', 'k3']);
    const lastId = memberOf(commits[0] ?? '', 'id');
    const resumed = await readPieces(server, {
      ...{ ...options, count: 3 },
      init: { headers: { ...headers, 'last-event-id': lastId } },
    });
    expect(JSON.parse(memberOf(resumed.pieces[2] ?? '', 'data')).changes[0].key).toBe('k3');
  });

  it('refuse parameters they do not know, before anything is streamed', async () => {
    await using server = await startTestServer();
    const root = await server.rootToken();
    const ask = (query: string) => server.request('GET', `/v1/watch?${query}`, { token: root });
    expect(await ask('colection=c')).toMatchObject({
      status: 400,
      body: { reason: 'ARGUMENT_INVALID', detail: expect.stringContaining('collection') },
    });
    expect((await ask('collection=c&where=x')).body.detail).toContain('not JSON');
    expect((await ask('initialState=yes')).body.detail).toContain('true or false');
    expect(await server.request('GET', '/v1/watch?collection=c')).toMatchObject({ status: 401 });
  });
});

describe('watching by REST', () => {
  it('streams one JSON object a line, by GET and by POST', async () => {
    await using server = await startTestServer();
    const headers = { ...(await prepare(server)), 'content-type': 'application/json' };
    const body = JSON.stringify({ targets: [{ collection: 'c' }], initialState: true });
    const calls = [
      { path: '/v1/watch', init: { method: 'POST', headers, body } },
      { path: '/v1/watch?collection=c&initialState=true', init: { headers } },
    ];
    for (const call of calls) {
      const { type, pieces } = await readPieces(server, { ...call, mark: '\n', count: 3 });
      expect(type).toContain('application/x-ndjson');
      const [started, documents, current] = pieces.map((line) => JSON.parse(line) as EventJson);
      expect(started?.kind).toBe('WATCH_EVENT_KIND_STARTED');
      expect(documents?.documents?.map(({ key }) => key)).toEqual(['k1', 'k2', 'k3']);
      expect(current).toMatchObject({ kind: 'WATCH_EVENT_KIND_CURRENT' });
    }
  });

  it('names the methods of the path', async () => {
    await using server = await startTestServer();
    const { status, headers } = await server.asRoot('DELETE', '/v1/watch');
    expect(status).toBe(405);
    const allow = headers.get('allow')?.split(', ') ?? [];
    expect(allow).toContain('GET');
    expect(allow).toContain('POST');
    for (const method of allow) {
      expect((await server.request(method, '/v1/watch')).status).not.toBe(404);
    }
  });
});
