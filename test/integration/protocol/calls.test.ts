/**
 * The same scenarios over every protocol, HTTP version and encoding: a caller must not be able to tell
 * by which path of the server it was answered.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../../gen/google/rpc/error_details_pb.ts';
import { HealthCheckResponse_ServingStatus } from '../../../gen/grpc/health/v1/health_pb.ts';
import { ServingState } from '../../../gen/molten/v1/system_pb.ts';
import { REASONS } from '../../../src/errors/reason.ts';
import { INTERNAL_MESSAGE, toWireError } from '../../../src/protocol/mapping/error.ts';
import { certificate, privateKey } from '../../support/certificate.ts';
import { connectAll, WAYS, type Clients } from './clients.ts';
import { BODY_BYTES_MAX, failureOf, startFakeServer, type FakeServer } from './fake-server.ts';

const password = 'grüße 🌍';

/** The error of a call that must fail. */
async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConnectError);
  return error as ConnectError;
}

function reasonOf(error: ConnectError): string {
  const infos = error.findDetails(ErrorInfoSchema);
  expect(infos).toHaveLength(1);
  expect(infos[0]?.domain).toBe('moltendb.dev');
  return infos[0]?.reason ?? '';
}

async function all<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const message of messages) list.push(message);
  return list;
}

// Over TLS the ways differ only below HTTP, so that one of each kind is enough.
const TLS_WAYS = WAYS.filter(({ name }) =>
  /^(Connect|gRPC) (JSON|binary) over HTTP\/[12.]+$/.test(name),
);

for (const tls of [undefined, { cert: certificate, key: privateKey }]) {
  describe.each(tls === undefined ? WAYS : TLS_WAYS)(
    `$name${tls === undefined ? '' : ' over TLS'}`,
    (way) => {
      let server: FakeServer;
      let clients: Clients;

      beforeAll(async () => {
        server = await startFakeServer({ tls });
        clients = connectAll(way, server.url);
      });
      afterAll(async () => {
        await server.close();
      });

      test('answers a call', async () => {
        const { token } = await clients.auth.login({ username: 'echo', password });
        expect(token).toBe(password);
      });

      test('answers a call without fields, and one without side effects', async () => {
        expect((await clients.system.getHealth({})).state).toBe(ServingState.READY);
        expect((await clients.system.getStatus({})).sequence).toBe(9_007_199_254_740_993n);
      });

      test('answers with much', async () => {
        const { token } = await clients.auth.login({ username: 'large', password });
        expect(token).toHaveLength(20_000);
      });

      test('knows the address and the request id of the caller', async () => {
        const headers = { 'x-request-id': 'request-7' };
        const { principal } = await clients.auth.whoAmI({}, { headers });
        expect(principal).toMatchObject({ subject: '127.0.0.1', tokenId: 'request-7' });
      });

      test('tells every reason with its facts', async () => {
        for (const reason of REASONS.filter((one) => one !== 'INTERNAL')) {
          const username = `reason:${reason}`;
          const error = await failure(clients.auth.login({ username, password }));
          expect(reasonOf(error)).toBe(reason);
          const expected = toWireError(failureOf(username));
          expect(error.rawMessage).toBe(expected.message);
          expect(codeName(error.code)).toBe(expected.code);
          expect(error.findDetails(ErrorInfoSchema)[0]?.metadata).toEqual(expected.metadata);
          const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations;
          expect(violations).toMatchObject(expected.violations);
          const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
          expect(delay).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
        }
      });

      test('says nothing of what went wrong inside', async () => {
        for (const username of ['bug', 'reason:INTERNAL']) {
          const error = await failure(clients.auth.login({ username, password }));
          expect(reasonOf(error)).toBe('INTERNAL');
          expect(error.rawMessage).toBe(INTERNAL_MESSAGE);
        }
      });

      test('names the fields that break a rule', async () => {
        const error = await failure(
          clients.auth.login({ username: '', password: 'x'.repeat(1025) }),
        );
        expect(reasonOf(error)).toBe('ARGUMENT_INVALID');
        const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
        expect(violations.map(({ field }) => field)).toEqual(['username', 'password']);
      });

      test('refuses a message over the bound', async () => {
        const username = 'x'.repeat(BODY_BYTES_MAX);
        const error = await failure(clients.auth.login({ username, password }));
        expect(reasonOf(error)).toBe('ARGUMENT_INVALID');
        expect(error.code).toBe(Code.InvalidArgument);
      });

      test('ends a call at its deadline', async () => {
        // The connection is there already, so that the deadline is not spent on opening it.
        await clients.auth.login({ username: 'echo', password });
        const call = clients.auth.login({ username: 'hang', password }, { timeoutMs: 200 });
        expect((await failure(call)).code).toBe(Code.DeadlineExceeded);
        await server.aborted;
      });

      test('streams', async () => {
        const statuses = await all(clients.health.watch({ service: 'three' }));
        expect(statuses.map(({ status }) => status)).toEqual(
          Array.from({ length: 3 }, () => HealthCheckResponse_ServingStatus.SERVING),
        );
      });

      test('tells the reason of a stream that fails', async () => {
        const service = 'reason:SEQUENCE_COMPACTED';
        const error = await failure(all(clients.health.watch({ service })));
        expect(reasonOf(error)).toBe('SEQUENCE_COMPACTED');
        const bug = await failure(all(clients.health.watch({ service: 'bug' })));
        expect(reasonOf(bug)).toBe('INTERNAL');
        expect(bug.rawMessage).toBe(INTERNAL_MESSAGE);
      });
    },
  );
}

describe.each(WAYS)('$name', (way) => {
  test('a caller that goes away aborts its call', async () => {
    await using server = await startFakeServer();
    const { auth } = connectAll(way, server.url);
    const controller = new AbortController();
    const call = failure(auth.login({ username: 'hang', password }, { signal: controller.signal }));
    await server.hanging;
    controller.abort();
    expect((await call).code).toBe(Code.Canceled);
    await server.aborted;
  });

  test('a caller that goes away aborts its stream', async () => {
    await using server = await startFakeServer();
    const { health } = connectAll(way, server.url);
    const controller = new AbortController();
    const call = failure(all(health.watch({ service: 'hang' }, { signal: controller.signal })));
    await server.hanging;
    controller.abort();
    expect((await call).code).toBe(Code.Canceled);
    await server.aborted;
  });

  test('a stream ends at its deadline', async () => {
    await using server = await startFakeServer();
    const { health } = connectAll(way, server.url);
    // The connection is there already, so that the deadline is not spent on opening it.
    await all(health.watch({ service: 'three' }));
    const error = await failure(all(health.watch({ service: 'hang' }, { timeoutMs: 200 })));
    expect(error.code).toBe(Code.DeadlineExceeded);
    await server.aborted;
  });
});

function codeName(code: Code): string {
  return Code[code].replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
