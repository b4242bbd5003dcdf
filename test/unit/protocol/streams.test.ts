import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { create, type Message } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import { GetHealthResponseSchema, SystemService } from '../../../gen/molten/v1/system_pb.ts';
import type { Authenticator } from '../../../src/domain/access/credentials.ts';
import { ANONYMOUS } from '../../../src/domain/access/principal.ts';
import { breathe } from '../../../src/platform/timers.ts';
import type { Call, CallInterceptor, CallResult } from '../../../src/protocol/call.ts';
import { deadline } from '../../../src/protocol/interceptors/deadline.ts';
import { createStreamGuard } from '../../../src/protocol/interceptors/stream-guard.ts';
import { isStream } from '../../../src/protocol/interceptors/stream.ts';

const authenticator = { lapseOf: () => undefined } as unknown as Authenticator;

const BOUNDING: readonly (readonly [string, CallInterceptor])[] = [
  ['ends with the credential of its caller', createStreamGuard(authenticator)],
  ['ends with its deadline', deadline],
];

/** A call that anybody may make, and that may take a minute. */
function callOf(): Call {
  const { signal } = new AbortController();
  const origin = {
    ...({ protocol: 'internal', requestId: 'r', address: '', signal, timeoutMs: 60_000 } as const),
    header: () => undefined,
    disconnect: () => undefined,
  };
  const { getHealth: method } = SystemService.method;
  const request = create(method.input);
  return { method, request, origin, principal: ANONYMOUS, signal, facts: { subject: '' } };
}

async function stream(result: Promise<CallResult>): Promise<AsyncIterable<Message>> {
  const messages = await result;
  if (!isStream(messages)) throw new Error('this is no stream');
  return messages;
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

describe.each(BOUNDING)('a stream that %s', (_, interceptor) => {
  it('keeps none of the messages that have passed, however many come', async () => {
    const made: WeakRef<Message>[] = [];
    const handler = interceptor(async () =>
      (async function* () {
        for (let n = 0; n < 1000; n++) {
          const message = create(GetHealthResponseSchema);
          made.push(new WeakRef(message));
          yield message;
        }
      })(),
    );
    let passed = 0;
    for await (const _message of await stream(handler(callOf()))) {
      passed += 1;
      if (passed === 1000) break;
      if (passed % 500 !== 0) continue;
      await breathe();
      collectGarbage();
      expect(made.filter((one) => one.deref() !== undefined).length).toBeLessThan(10);
    }
    expect(passed).toBe(1000);
  });

  it('fails with what its source fails with, and lets the source go', async () => {
    let isReleased = false;
    const handler = interceptor(async () =>
      (async function* () {
        try {
          yield create(GetHealthResponseSchema);
          throw new Error('the source failed');
        } finally {
          isReleased = true;
        }
      })(),
    );
    const iterator = (await stream(handler(callOf())))[Symbol.asyncIterator]();
    expect((await iterator.next()).done).toBe(false);
    await expect(iterator.next()).rejects.toThrow('the source failed');
    expect(isReleased).toBe(true);
  });
});
