import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import { WhoAmIResponseSchema } from '../../../gen/molten/v1/auth_pb.ts';
import {
  WatchEventKind,
  WatchResponseSchema,
  WatchService,
  type WatchResponse,
} from '../../../gen/molten/v1/watch_pb.ts';
import { breathe } from '../../../src/platform/timers.ts';
import type { Dispatcher } from '../../../src/protocol/dispatcher.ts';
import { createSession } from '../../../src/protocol/websocket/session.ts';

/** A watch that tells so much and goes on. */
async function* tell(messages: number, signal: AbortSignal): AsyncIterable<WatchResponse> {
  for (let n = 0; n < messages; n++) {
    const resumeToken = n.toString();
    yield create(WatchResponseSchema, { kind: WatchEventKind.BOOKMARK, resumeToken });
  }
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve);
  });
}

/** A session of a known caller, whose subscriptions are told so many messages each; what is done before a send is over. */
async function openSession(messages: number, beforeSent: () => Promise<void> = breathe) {
  const sent: { readonly event?: string }[] = [];
  const counted = { frames: 0 };
  const dispatcher: Dispatcher = {
    ...{ services: [], methods: new Map() },
    dispatch: async (method, _request, { signal }) =>
      method === WatchService.method.watch ? tell(messages, signal) : create(WhoAmIResponseSchema),
  };
  const session = createSession(dispatcher, {
    ...{ requestId: 'r', address: '198.51.100.1', header: () => 'Bearer a' },
    count: () => {
      counted.frames += 1;
      return undefined;
    },
    admit: () => undefined,
    send: async (frame) => {
      sent.push(frame);
      await beforeSent();
    },
    close: () => undefined,
    terminate: () => undefined,
  });
  await session.begin();
  return { session, sent, counted };
}

describe('a session', () => {
  it('takes no more acknowledgements for nothing than a subscription may wait for', async () => {
    const { session, sent, counted } = await openSession(1200);
    await session.receive('{"action":"SUBSCRIBE","id":"a","collection":"c"}');
    while (sent.filter(({ event }) => event === 'bookmark').length < 1200) await breathe();
    expect(counted.frames).toBe(1);
    const frame = '{"action":"ACK","id":"a","resumeToken":"1"}';
    for (let n = 0; n < 1000; n++) await session.receive(frame);
    expect(counted.frames).toBe(1);
    for (let n = 0; n < 200; n++) await session.receive(frame);
    expect(counted.frames).toBe(201);
    session.closed();
  });

  it('hears of a message that is acknowledged before its send is over', async () => {
    let acknowledge = async (): Promise<void> => {
      await breathe();
    };
    const { session, sent } = await openSession(5, () => acknowledge());
    const told = (): number => sent.filter(({ event }) => event === 'bookmark').length;
    acknowledge = async () => {
      const resumeToken = String(told() - 1);
      await session.receive(JSON.stringify({ action: 'ACK', id: 'a', resumeToken }));
    };
    const request = { action: 'SUBSCRIBE', id: 'a', collection: 'c', maxUnacknowledged: 1 };
    await session.receive(JSON.stringify(request));
    await expect.poll(told).toBe(5);
    session.closed();
  });
});
