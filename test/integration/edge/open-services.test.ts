/** What is answered to anybody, without a credential: each of it has a bound. */
import { Code, ConnectError, createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from 'vitest';

import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { startTestServer } from '../../support/server.ts';

const SERVING = 1;

/** Watches from an address; resolves with the first that is told, or with why nothing is. */
async function watchHealth(
  client: Client<typeof Health>,
  address: string,
  signal?: AbortSignal,
): Promise<number | ConnectError> {
  const headers = { 'x-forwarded-for': address };
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
    const rest = Array.from({ length: 32 }, () => watchHealth(client, '198.51.100.1'));
    const answers = await Promise.all(rest);
    expect(answers.filter((answer) => answer === SERVING)).toHaveLength(31);
    const [refused] = answers.filter((answer) => answer !== SERVING);
    expect(reasonOf(refused)).toEqual([Code.ResourceExhausted, 'QUOTA_EXCEEDED', '32']);
    // Single questions are answered all the same, and so are others.
    const headers = { 'x-forwarded-for': '198.51.100.1' };
    expect(await client.check({}, { headers })).toMatchObject({ status: SERVING });
    expect(await watchHealth(client, '198.51.100.2')).toBe(SERVING);
    // All of a /64 are one.
    for (let n = 0; n < 32; n++) await watchHealth(client, `2001:db8::${n.toString(16)}`);
    expect(reasonOf(await watchHealth(client, '2001:db8::ff'))).toContain('QUOTA_EXCEEDED');
    first.abort();
    await expect.poll(() => watchHealth(client, '198.51.100.1')).toBe(SERVING);
  });

  it('of all addresses together are bounded', async () => {
    await using server = await startTestServer({ trustedProxies: ['127.0.0.1'] });
    const clients = Array.from({ length: 20 }, () =>
      createClient(Health, createGrpcTransport({ baseUrl: server.url })),
    );
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
    expect(reasonOf(refused)).toEqual([Code.ResourceExhausted, 'QUOTA_EXCEEDED', '1000']);
    const probe = await server.request('POST', '/grpc.health.v1.Health/Check', { body: {} });
    expect(probe.body).toEqual({ status: 'SERVING' });
  });
});
