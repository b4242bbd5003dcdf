/** Spans as a collector gets them: one per call, its parts below it, in the trace of its caller. */
import { createServer } from 'node:http';

import { describe, expect, it } from 'vitest';

import { parseTraceparent } from '../../../src/platform/tracing.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

interface SpanJson {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code?: number };
  readonly attributes: readonly {
    readonly key: string;
    readonly value: { readonly stringValue?: string };
  }[];
}

interface ExportJson {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly SpanJson[] }[];
  }[];
}

interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly spans: readonly SpanJson[];
}

async function startCollector(): Promise<Collector> {
  const spans: SpanJson[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      const sent = JSON.parse(body) as ExportJson;
      const scopes = sent.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans);
      if (request.url === '/v1/traces') spans.push(...scopes.flatMap((one) => one.spans));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { readonly port: number };
  return {
    ...{ spans, url: `http://127.0.0.1:${String(port)}` },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const READ = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = 'b7ad6b7169203331';
const PATH = '/v1/collections/things/documents';

async function put(server: TestServer, traceparent: string): Promise<void> {
  const { status } = await server.request('PUT', `${PATH}/mark-key`, {
    ...{ token: await server.rootToken(), headers: { traceparent } },
    body: { body: { fields: { v: 'mark-value' } } },
  });
  expect(status).toBe(200);
}

describe('traces', () => {
  it('go on from the caller, with the parts of a call below it', async () => {
    await using collector = await startCollector();
    const server = await startTestServer({ otlpEndpoint: collector.url });
    await put(server, `00-${TRACE}-${PARENT}-01`);
    await server.request('POST', `${PATH}:query`, {
      ...{ token: await server.rootToken(), body: {} },
    });
    await server.request('GET', `${PATH}/mark-key`);
    await server.request('GET', `${PATH}/mark-key`, {
      ...{ token: await server.rootToken(), headers: { traceparent: `00-${READ}-${PARENT}-01` } },
    });
    await server[Symbol.asyncDispose]();

    const call = collector.spans.find(({ traceId, kind }) => traceId === TRACE && kind === 2);
    expect(call).toMatchObject({
      ...{ name: 'molten.v1.DocumentService/SetDocument', parentSpanId: PARENT },
    });
    const attributes = new Map(call?.attributes.map(({ key, value }) => [key, value.stringValue]));
    expect(attributes.get('rpc.service')).toBe('molten.v1.DocumentService');
    expect(attributes.get('rpc.method')).toBe('SetDocument');
    const part = collector.spans.find(({ parentSpanId }) => parentSpanId === call?.spanId);
    expect(part).toMatchObject({ name: 'transact', traceId: TRACE });
    expect(collector.spans.map(({ name }) => name)).toContain('query things');
    const read = collector.spans.filter(({ traceId }) => traceId === READ);
    expect(read.map(({ name }) => name)).toContain('get things');
    const refused = collector.spans.find(
      ({ name, traceId }) => name.endsWith('/GetDocument') && traceId !== READ,
    );
    expect(refused?.status.code).toBe(2);
    expect(JSON.stringify(collector.spans)).not.toMatch(/mark-value|a password long/);
  });

  it('are not made of calls that the caller does not sample, nor without an endpoint', async () => {
    await using collector = await startCollector();
    const server = await startTestServer({ otlpEndpoint: collector.url });
    await put(server, `00-${TRACE}-${PARENT}-00`);
    await server[Symbol.asyncDispose]();
    expect(collector.spans.filter(({ traceId }) => traceId === TRACE)).toEqual([]);
    expect(collector.spans.length).toBeGreaterThan(0);
  });

  it('do not keep a server from answering or stopping when nobody takes them', async () => {
    const server = await startTestServer({ otlpEndpoint: 'http://127.0.0.1:1' });
    await put(server, 'not a traceparent');
    await server[Symbol.asyncDispose]();
  });
});

describe('a traceparent', () => {
  it('is read by the letter, and ignored otherwise', () => {
    expect(parseTraceparent(`00-${TRACE}-${PARENT}-01`)).toEqual({
      ...{ traceId: TRACE, spanId: PARENT, flags: 1 },
    });
    expect(parseTraceparent(`cc-${TRACE}-${PARENT}-01-later`)).toBeDefined();
    for (const text of [
      ...[undefined, '', `ff-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01-x`],
      ...[`00-${'0'.repeat(32)}-${PARENT}-01`, `00-${TRACE}-${'0'.repeat(16)}-01`],
      ...[`00-${TRACE.toUpperCase()}-${PARENT}-01`, `00-${TRACE}-${PARENT}`],
    ]) {
      expect([text, parseTraceparent(text)]).toEqual([text, undefined]);
    }
  });
});
