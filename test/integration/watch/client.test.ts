/**
 * The client's watch over connections that break: it goes on right behind what it was told, however often
 * and wherever it is cut off, and tells the server when it is over.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';

import type { WatchRequest, WatchResponse } from '../../../gen/molten/v1/watch_pb.ts';
import { createMoltenClient, type MoltenError } from '../../../src/client/index.ts';
import { followChanges, waitMsOf, type WatchSource } from '../../../src/client/watch.ts';
import { WATCH_TIMES } from '../../../src/domain/watch/watches.ts';
import { parseMetrics } from '../../support/prometheus.ts';
import { startProxy } from '../../support/proxy.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { changesOf, watchClient, wordsOf } from '../../support/watching.ts';

const TARGETS = [{ collection: 'c' }];
const COMMITS = 12;
const BEGINNING = { case: 'afterSequence', value: 0n } as const;

async function put(server: TestServer, key: string, n: number): Promise<void> {
  const path = `/v1/collections/c/documents/${key}`;
  expect((await server.asRoot('PUT', path, { body: { fields: { n } } })).status).toBe(200);
}

/** Reads a watch until a document with this key is told. */
async function readUntil(
  watch: AsyncIterable<WatchResponse>,
  last: string,
): Promise<readonly WatchResponse[]> {
  const messages: WatchResponse[] = [];
  for await (const message of watch) {
    messages.push(message);
    if (message.changes.some(({ key }) => key === last)) break;
  }
  return messages;
}

describe('the watch of the client', () => {
  it('ends the watch of the server when its loop is left', async () => {
    await using server = await startTestServer({ metrics: { host: '127.0.0.1', port: 0 } });
    const token = await server.rootToken();
    const running = async (): Promise<number> => {
      const families = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
      const samples = families.get('molten_watchers')?.samples ?? [];
      return samples.reduce((sum, { value }) => sum + value, 0);
    };
    for (const protocol of ['connect', 'grpc'] as const) {
      const client = createMoltenClient({ url: server.url, token: () => token, protocol });
      for await (const _message of client.watch({ targets: TARGETS })) {
        expect(await running()).toBe(1);
        break;
      }
      await expect.poll(running).toBe(0);
    }
  });

  it('gives up a connection that says nothing, and misses nothing that happened meanwhile', async () => {
    await using server = await startTestServer({}, { watchTimes: { bookmarkMs: 50 } });
    await using proxy = await startProxy();
    proxy.target = server.port;
    const token = await server.rootToken();
    const client = createMoltenClient({ url: proxy.url, token: () => token });
    const interruptions: MoltenError[] = [];
    const watch = client.watch(
      { targets: TARGETS },
      { silenceMs: 1000, onInterruption: (error) => interruptions.push(error) },
    );
    await watch.next();
    proxy.mute();
    await put(server, 'a', 1);
    await put(server, 'end', 2);
    expect(wordsOf(await readUntil(watch, 'end'))).toEqual(['entered a 1', 'entered end 2']);
    expect(interruptions[0]?.message).toContain('silent');
  });

  it('is cut off after every message, and tells each change once', async () => {
    await using server = await startTestServer();
    for (let n = 0; n < COMMITS; n++) await put(server, `k${String(n % 3)}`, n);
    await put(server, 'end', 0);
    const service = watchClient(server.url, await server.rootToken());
    for (const messagesMax of [2, 3, 5]) {
      let connections = 0;
      const cutting: WatchSource = {
        token: () => 'unchanged',
        service: {
          async *watch(request, options) {
            connections += 1;
            let left = messagesMax;
            for await (const message of service.watch(request, options)) {
              yield message;
              left -= 1;
              if (left === 0) throw new ConnectError('cut off', Code.Unavailable);
            }
          },
        },
      };
      const start = BEGINNING;
      const messages = await readUntil(followChanges(cutting, { targets: TARGETS, start }), 'end');
      const told = changesOf(messages).map(({ key, document }) => [key, document?.version]);
      const expected = Array.from({ length: COMMITS }, (_, n) => [
        `k${String(n % 3)}`,
        BigInt(Math.floor(n / 3) + 1),
      ]);
      expect(told).toEqual([...expected, ['end', 1n]]);
      // The first message of each is STARTED, which is told once.
      expect(connections).toBe(Math.ceil((COMMITS + 1) / (messagesMax - 1)));
    }
  }, 60_000);

  it('goes on with another token when its own is revoked, and fails when there is none', async () => {
    await using server = await startTestServer();
    const first = await server.tokenWith(['read:c:*']);
    const tokens = [first, await server.tokenWith(['read:c:*'])];
    let current = 0;
    const client = createMoltenClient({ url: server.url, token: () => tokens[current] });
    const watch = client.watch({ targets: TARGETS });
    await watch.next();
    await put(server, 'a', 1);
    expect(wordsOf([(await watch.next()).value as WatchResponse])).toEqual(['entered a 1']);
    current = 1;
    await server.request('DELETE', '/v1/sessions/current', { token: first });
    await put(server, 'a', 2);
    await put(server, 'end', 3);
    expect(wordsOf(await readUntil(watch, 'end'))).toEqual(['changed a 2', 'entered end 3']);

    const alone = createMoltenClient({ url: server.url, token: () => tokens[1] });
    const failing = alone.watch({ targets: TARGETS });
    await failing.next();
    await server.request('DELETE', '/v1/sessions/current', { token: tokens[1] ?? '' });
    await expect(failing.next()).rejects.toMatchObject({ reason: 'CREDENTIAL_REVOKED' });
  });

  it('begins at the token of its last message, on whatever server is there then', async () => {
    await using server = await startTestServer();
    await using proxy = await startProxy();
    proxy.target = server.port;
    const token = await server.rootToken();
    const client = createMoltenClient({ url: proxy.url, token: () => token });
    const watch = client.watch({ targets: TARGETS, start: BEGINNING });
    const { value: started } = await watch.next();
    const requests: WatchRequest[] = [];
    const source: WatchSource = {
      token: () => token,
      // Called once, with what the next connection asks for.
      service: {
        async *watch(request) {
          requests.push(request as WatchRequest);
          if (requests.length === 1) {
            yield started as WatchResponse;
            throw new ConnectError('cut off', Code.Unavailable);
          }
        },
      },
    };
    for await (const _message of followChanges(source, { targets: TARGETS, start: BEGINNING }));
    expect(requests.map(({ start }) => start)).toEqual([
      BEGINNING,
      { case: 'resumeToken', value: (started as WatchResponse).resumeToken },
    ]);
    await watch.return();
  });

  it('waits twice as long each time, at most 10 s, or as long as the server says', () => {
    const longest = Array.from({ length: 10 }, (_, attempt) =>
      waitMsOf({ attempt, retryAfterMs: undefined, chance: 1 }),
    );
    expect(longest).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
    const shortest = waitMsOf({ attempt: 3, retryAfterMs: undefined, chance: 0 });
    expect(shortest).toBe(400);
    expect(waitMsOf({ attempt: 9, retryAfterMs: 1234, chance: 1 })).toBe(1234);
  });

  it('is told something by the server at least every 15 s, unless tests say otherwise', () => {
    expect(WATCH_TIMES.bookmarkMs).toBeLessThanOrEqual(15_000);
  });
});
