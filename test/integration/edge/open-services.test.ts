/** What is answered to anybody, without a credential: each of it has a bound. */
import { Code, ConnectError, createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { DocumentService } from '../../../gen/molten/v1/documents_pb.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { registerReflection } from '../../../src/protocol/reflection/service.ts';
import { startTestServer, testConfig, type TestServer } from '../../support/server.ts';
import { startFakeServer } from '../protocol/fake-server.ts';

const SERVING = 1;

/** Clients with a connection each, which holds a bounded number of streams. */
function clientsOf(count: number, { url }: Pick<TestServer, 'url'>): Client<typeof Health>[] {
  return Array.from({ length: count }, () =>
    createClient(Health, createGrpcTransport({ baseUrl: url })),
  );
}

/** Watches so often from an address, over connections of 64 streams. */
async function watchOften(
  server: TestServer,
  count: number,
  address?: string,
): Promise<(number | ConnectError)[]> {
  const clients = clientsOf(Math.ceil(count / 64), server);
  const watches = Array.from({ length: count }, (_, n) =>
    watchHealth(clients[n % clients.length]!, address),
  );
  return await Promise.all(watches);
}

/** Watches from an address, or from that of its connection; resolves with the first that is told, or with why nothing is. */
async function watchHealth(
  client: Client<typeof Health>,
  address: string | undefined,
  signal?: AbortSignal,
): Promise<number | ConnectError> {
  const headers: Record<string, string> =
    address === undefined ? {} : { 'x-forwarded-for': address };
  const stream = client.watch({}, { headers, ...(signal === undefined ? {} : { signal }) });
  try {
    const first = await stream[Symbol.asyncIterator]().next();
    return (first.value as { readonly status: number }).status;
  } catch (error) {
    return ConnectError.from(error);
  }
}

function reasonOf(answer: number | ConnectError | undefined): unknown {
  if (!(answer instanceof ConnectError)) return answer;
  const [info] = answer.findDetails(ErrorInfoSchema);
  return [answer.code, info?.reason, info?.metadata['limit']];
}

describe('watches of grpc.health.v1', () => {
  it('of one address are bounded, and make room when they end', async () => {
    await using server = await startTestServer({ trustedProxies: ['127.0.0.1'] });
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    const first = new AbortController();
    expect(await watchHealth(client, '198.51.100.1', first.signal)).toBe(SERVING);
    const answers = await watchOften(server, 256, '198.51.100.1');
    expect(answers.filter((answer) => answer === SERVING)).toHaveLength(255);
    const [refused] = answers.filter((answer) => answer !== SERVING);
    // By the health checking protocol a client that is told so goes on, without asking for more.
    expect(reasonOf(refused)).toEqual([Code.Unimplemented, 'FEATURE_DISABLED', '256']);
    // Single questions are answered all the same, and so are others.
    const headers = { 'x-forwarded-for': '198.51.100.1' };
    expect(await client.check({}, { headers })).toMatchObject({ status: SERVING });
    expect(await watchHealth(client, '198.51.100.2')).toBe(SERVING);
    // All of a /64 are one.
    for (const address of ['2001:db8::1', '2001:db8::2']) {
      expect(new Set(await watchOften(server, 128, address))).toEqual(new Set([SERVING]));
    }
    expect(reasonOf(await watchHealth(client, '2001:db8::ff'))).toContain('FEATURE_DISABLED');
    first.abort();
    await expect.poll(() => watchHealth(client, '198.51.100.1')).toBe(SERVING);
  });

  it('of a trusted proxy that names nobody are those of many', async () => {
    await using server = await startTestServer({ trustedProxies: ['127.0.0.1'] });
    expect(new Set(await watchOften(server, 300))).toEqual(new Set([SERVING]));
  });

  it('of all addresses together are bounded', async () => {
    await using server = await startTestServer({ trustedProxies: ['127.0.0.1'] });
    const clients = clientsOf(20, server);
    const answers = await Promise.all(
      clients.flatMap((client, of) =>
        Array.from({ length: 50 }, (_, n) =>
          watchHealth(client, `198.51.${of.toString()}.${(n % 25).toString()}`),
        ),
      ),
    );
    expect(answers).toEqual(Array<number>(1000).fill(SERVING));
    const [client] = clients;
    const refused = await watchHealth(client!, '203.0.113.1');
    expect(reasonOf(refused)).toEqual([Code.Unimplemented, 'FEATURE_DISABLED', '1000']);
    const probe = await server.request('POST', '/grpc.health.v1.Health/Check', { body: {} });
    expect(probe.body).toEqual({ status: 'SERVING' });
  });
});

/** Asks so many questions in one stream; how many were answered, and what ended them. */
async function askReflection(
  { url }: Pick<TestServer, 'url'>,
  count: number,
): Promise<{ readonly answered: number; readonly end: unknown }> {
  async function* questions(): AsyncIterable<{
    messageRequest: { case: 'fileByFilename'; value: string };
  }> {
    for (let n = 0; n < count; n++) {
      yield { messageRequest: { case: 'fileByFilename', value: 'grpc/health/v1/health.proto' } };
    }
  }
  const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: url }));
  let answered = 0;
  try {
    for await (const { messageResponse } of client.serverReflectionInfo(questions())) {
      expect(messageResponse.case).toBe('fileDescriptorResponse');
      answered += 1;
    }
  } catch (error) {
    return { answered, end: reasonOf(ConnectError.from(error)) };
  }
  return { answered, end: undefined };
}

describe('a question of reflection', () => {
  const WINDOW_MS = 600_000;
  const { rates } = testConfig('');

  it('is a request of its address', async () => {
    const rateLimit = { requests: 4, windowMs: WINDOW_MS };
    await using server = await startTestServer({ rateLimit });
    const end = [Code.ResourceExhausted, 'RATE_LIMITED', '4'];
    expect(await askReflection(server, 6)).toEqual({ answered: 4, end });
    expect((await server.request('GET', '/v1/health')).status).toBe(429);
  });

  it('is a call without a credential, which has a limit unless told otherwise', async () => {
    await using server = await startTestServer({ rates: { ...rates, anonymous: 4 } });
    const end = [Code.ResourceExhausted, 'RATE_LIMITED', '4'];
    expect(await askReflection(server, 6)).toEqual({ answered: 4, end });
    expect(await askReflection(server, 1)).toEqual({ answered: 0, end });
  });

  it('is one of at most 1,000 in its stream', async () => {
    await using server = await startTestServer();
    const end = [Code.ResourceExhausted, 'QUOTA_EXCEEDED', '1000'];
    expect(await askReflection(server, 1001)).toEqual({ answered: 1000, end });
  });

  it('is turned away under overload, the first of a stream and those behind it', async () => {
    let calm = 3;
    const admit = (): DomainError | undefined =>
      calm-- > 0 ? undefined : new DomainError('OVERLOADED', 'too much', { retryAfterMs: 1500 });
    const open = { request: () => undefined, anonymous: () => undefined };
    const addressLimit = { rates: open as never, onRefused: () => undefined };
    await using server = await startFakeServer({
      admit,
      extras: (router) => {
        registerReflection(router, [DocumentService], { addressLimit, admit });
      },
    });
    const end = [Code.Unavailable, 'OVERLOADED', undefined];
    expect(await askReflection(server, 6)).toEqual({ answered: 3, end });
    expect(await askReflection(server, 6)).toEqual({ answered: 0, end });
  });
});
