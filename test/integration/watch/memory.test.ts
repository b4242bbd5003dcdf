/**
 * What watches keep in memory, by the metrics that say so: as much as many deaf readers of large changes
 * need is several times what is allowed, and everything is told to those that read.
 */
import { connect, type Socket } from 'node:net';

import { describe, expect, it } from 'vitest';

import { parseMetrics } from '../../support/prometheus.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { changesOf, recordWatch, watchClient } from '../../support/watching.ts';

const READERS = 4;
const DEAF = 24;
const COMMITS = 60;
const TEXT = 'x'.repeat(400_000);
/** The bounds of docs/concepts/watch.md, in characters and entries. */
const RING_MAX = 8 * 1024 * 1024;
const CATCH_UP_MAX = 8 * (512 * 1024 + TEXT.length);
const PENDING_MAX = 4096 * (READERS + 2 * DEAF);

interface Held {
  readonly ring: number;
  readonly catchUp: number;
  readonly pending: number;
}

async function heldIn(server: TestServer): Promise<Held> {
  const families = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
  const characters = families.get('molten_watch_held_characters')?.samples ?? [];
  const at = (place: string): number =>
    characters.find(({ labels }) => labels['place'] === place)?.value ?? NaN;
  const pending = families.get('molten_watch_pending_entries')?.samples[0]?.value ?? NaN;
  return { ring: at('ring'), catchUp: at('catch_up'), pending };
}

/** Watches everything there ever was, and reads nothing of it. */
async function openDeaf(server: TestServer): Promise<Socket> {
  const token = await server.rootToken();
  const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
  const path = '/v1/watch?collection=c&afterSequence=0';
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
  return socket.pause();
}

describe('the memory of watches', () => {
  it('stays within its bounds, whoever does not read, and is free when they are gone', async () => {
    await using server = await startTestServer({ metrics: { host: '127.0.0.1', port: 0 } });
    const client = watchClient(server.url, await server.rootToken());
    const targets = [{ collection: 'c' }];
    const readers = await Promise.all(
      Array.from({ length: READERS }, () => recordWatch(client, { targets })),
    );
    const deaf = await Promise.all(Array.from({ length: DEAF }, () => openDeaf(server)));
    const seen: Held[] = [];
    for (let n = 0; n < COMMITS; n++) {
      const body = { body: { fields: { n, text: TEXT } } };
      await server.asRoot('PUT', '/v1/collections/c/documents/k', body);
      seen.push(await heldIn(server));
    }
    // These begin where only the log reaches.
    for (let n = 0; n < DEAF; n++) {
      deaf.push(await openDeaf(server));
      seen.push(await heldIn(server));
    }
    for (const { ring, catchUp, pending } of seen) {
      expect(ring).toBeLessThanOrEqual(RING_MAX);
      expect(catchUp).toBeLessThanOrEqual(CATCH_UP_MAX);
      expect(pending).toBeLessThanOrEqual(PENDING_MAX);
    }
    // Far more was written, and some of it was held.
    expect(COMMITS * TEXT.length).toBeGreaterThan(2 * RING_MAX);
    expect(Math.max(...seen.map(({ ring }) => ring))).toBeGreaterThan(RING_MAX / 2);
    expect(Math.max(...seen.map(({ catchUp }) => catchUp))).toBeGreaterThan(0);
    for (const reader of readers) {
      await reader.until((messages) => changesOf(messages).length === COMMITS);
      await reader[Symbol.asyncDispose]();
    }
    for (const socket of deaf) socket.destroy();
    await expect.poll(() => heldIn(server)).toEqual({ ring: 0, catchUp: 0, pending: 0 });
  }, 60_000);
});
