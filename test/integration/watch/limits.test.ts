/**
 * Watches at the edges of the log and of their bounds: compaction, readers that do not read, quotas. The
 * cases by number are bugs that etcd had in its watch.
 */
import { connect, type Socket } from 'node:net';

import { describe, expect, it } from 'vitest';

import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import type { Principal } from '../../../src/domain/access/principal.ts';
import type { WatchEvent, WatchStart } from '../../../src/domain/watch/model.ts';
import { createWatches, type Watches } from '../../../src/domain/watch/watches.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { delay } from '../../../src/platform/timers.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { put, remove } from '../../contract/support.ts';
import { parseMetrics } from '../../support/prometheus.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { changesOf, recordWatch, watchClient } from '../../support/watching.ts';

const ROOT: Principal = {
  ...{ kind: 'token', subject: 'root', tokenId: 't', expiresAtMs: Infinity },
  scopes: createScopeSet(['*:*:*']),
};

interface Scene extends AsyncDisposable {
  readonly engine: StorageEngine;
  readonly watches: Watches;
  /** The first events of a watch, up to `count` of them. */
  watch(start: WatchStart, count: number): Promise<readonly WatchEvent[]>;
}

async function openScene(bounds: object = {}): Promise<Scene> {
  const directory = createTemporaryDirectory();
  const engine = await openEmbeddedStore({ directory: directory.path, clock: systemClock });
  const watches = await createWatches({
    ...{ engine, clock: systemClock, lapseOf: () => undefined, ...bounds },
  });
  return {
    engine,
    watches,
    async watch(start, count) {
      const events: WatchEvent[] = [];
      const context = {
        ...{ principal: ROOT, signal: new AbortController().signal },
        disconnect: () => undefined,
      };
      const target = { collection: 'things', keys: [], keyPrefix: '', where: undefined };
      const request = { targets: [target], start, fields: [], withPrevious: true, fragment: false };
      for await (const event of watches.open(context, request)) {
        events.push(event);
        if (events.length >= count) break;
      }
      return events;
    },
    async [Symbol.asyncDispose]() {
      await watches[Symbol.asyncDispose]();
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

const after = (sequence: bigint): WatchStart => ({ kind: 'after', sequence: toSequence(sequence) });

describe('at the floor of the log', () => {
  it('nothing is missing right behind it, a deletion neither (18089, 19179)', async () => {
    await using scene = await openScene();
    const { engine } = scene;
    await put(engine, 'a', { n: 1 });
    const { sequence: floor } = await put(engine, 'b', { n: 1 });
    await remove(engine, 'a');
    await put(engine, 'b', { n: 2 });
    expect(await engine.compact(floor)).toBe(floor);
    await delay(50);
    const [, deleted, changed] = await scene.watch(after(floor), 3);
    expect(deleted).toMatchObject({
      changes: [{ kind: 'deleted', key: 'a', previous: { key: 'a' } }],
    });
    expect(changed).toMatchObject({ changes: [{ kind: 'changed', previous: { version: 1n } }] });
    // Compacted at the deletion itself, the deletion is told by the state and not by an event.
    expect(await engine.compact(toSequence(floor + 1n))).toBe(floor + 1n);
    const [, documents] = await scene.watch({ kind: 'initial' }, 2);
    expect(documents).toMatchObject({ documents: [{ key: 'b', version: 2n }] });
  });

  it('what lies below is refused, naming the oldest', async () => {
    await using scene = await openScene();
    const { engine } = scene;
    for (let n = 0; n < 5; n++) await put(engine, 'a', { n });
    await engine.compact(toSequence(4));
    const refused = await scene.watch(after(3n), 1).catch((error: unknown) => error);
    expect(refused).toMatchObject({ reason: 'SEQUENCE_COMPACTED', metadata: { oldest: '4' } });
    expect(await scene.watch(after(4n), 2)).toMatchObject([
      { kind: 'started' },
      { kind: 'commit' },
    ]);
  });

  it('a sequence of the future is refused, and tells nothing old (20221)', async () => {
    await using scene = await openScene();
    const { sequence } = await put(scene.engine, 'a', { n: 1 });
    const refused = scene.watch(after(sequence + 5n), 1);
    await expect(refused).rejects.toMatchObject({ reason: 'SEQUENCE_IN_FUTURE' });
  });

  it('a running watch whose log is gone all the same is told so, and from where there is any', async () => {
    await using scene = await openScene();
    const { engine } = scene;
    const { sequence } = await put(engine, 'a', { n: 0 });
    const compacted = new DomainError('SEQUENCE_COMPACTED', 'gone', { metadata: { oldest: '7' } });
    // Only a store that others shorten, as several nodes have, comes to this.
    const shortened = new Proxy(engine, {
      get: (target, name) => {
        if (name === 'readLog') return () => Promise.reject(compacted);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await put(engine, 'b', { n: 0 });
    await using watches = await createWatches({
      ...{ engine: shortened, clock: systemClock, lapseOf: () => undefined },
    });
    const events: WatchEvent[] = [];
    const read = async (): Promise<void> => {
      const { signal } = new AbortController();
      const context = { principal: ROOT, signal, disconnect: () => undefined };
      const target = { collection: 'things', keys: [], keyPrefix: '', where: undefined };
      const shape = { targets: [target], fields: [], withPrevious: false, fragment: false };
      const request = { ...shape, start: after(sequence) };
      for await (const event of watches.open(context, request)) events.push(event);
    };
    await expect(read()).rejects.toMatchObject({
      ...{ reason: 'SEQUENCE_COMPACTED', metadata: { oldest: '7' } },
    });
    expect(events).toMatchObject([{ kind: 'started' }, { kind: 'end', reason: 'compacted' }]);
    expect(watches.figures().ended.compacted).toBe(1);
  });

  it('a running watch holds the log', async () => {
    await using scene = await openScene();
    const { engine, watches } = scene;
    const { sequence } = await put(engine, 'a', { n: 0 });
    const stop = new AbortController();
    const context = { principal: ROOT, signal: stop.signal, disconnect: () => undefined };
    const target = { collection: 'things', keys: [], keyPrefix: '', where: undefined };
    const shape = { targets: [target], fields: [], withPrevious: false, fragment: false };
    const stream = watches.open(context, { ...shape, start: after(sequence) });
    const events = stream[Symbol.asyncIterator]();
    await events.next();
    for (let n = 1; n <= 20; n++) await put(engine, 'a', { n });
    const { sequence: newest } = await engine.head();
    // It has not looked at anything yet.
    expect(await engine.compact(newest)).toBe(sequence);
    for (let n = 1; n <= 20; n++) await events.next();
    stop.abort();
    await events.next();
    expect(await engine.compact(newest)).toBe(newest - 1n);
  });
});

/** Asks for a watch and never reads the answer. */
async function deafReader(server: TestServer): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  const token = await server.rootToken();
  const path = '/v1/watch?collection=c&afterSequence=0';
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
  socket.pause();
  return socket;
}

describe('a reader that does not read', () => {
  it('is cut off, while others see everything and writers go on', async () => {
    const watchTimes = { stallMs: 400, graceMs: 200 };
    await using server = await startTestServer(
      { retention: { ageMs: 0, bytesMax: 0 }, metrics: { host: '127.0.0.1', port: 0 } },
      { watchTimes },
    );
    const sockets = await Promise.all(Array.from({ length: 10 }, () => deafReader(server)));
    const closed = Promise.all(
      sockets.map(
        (socket) => new Promise((resolve) => socket.on('error', resolve).on('close', resolve)),
      ),
    );
    const client = watchClient(server.url, await server.rootToken());
    await using reader = await recordWatch(client, { targets: [{ collection: 'c' }] });
    const before = process.memoryUsage().rss;
    const text = 'x'.repeat(500_000);
    for (let n = 0; n < 60; n++) {
      const body = { body: { fields: { n, text } } };
      expect((await server.asRoot('PUT', '/v1/collections/c/documents/k', body)).status).toBe(200);
    }
    await reader.until((messages) => changesOf(messages).length === 60);
    const ended = async (reason: string): Promise<number | undefined> => {
      const scraped = parseMetrics(await (await fetch(server.metricsUrl ?? '')).text());
      const { samples = [] } = scraped.get('molten_watches_ended_total') ?? {};
      return samples.find(({ labels }) => labels['reason'] === reason)?.value;
    };
    // The server ends them: until then nobody here has read, or gone.
    await expect.poll(() => ended('tooSlow'), { timeout: 40_000 }).toBe(10);
    expect(await ended('abandoned')).toBe(0);
    for (const socket of sockets) socket.resume();
    await closed;
    // Ten queues of sixty documents of a megabyte in memory would be far more.
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  }, 60_000);
});

describe('what is told once', () => {
  it('a transaction that is asked for again tells nothing again (17247)', async () => {
    await using scene = await openScene();
    const { engine } = scene;
    const request = { principal: 'root', id: 'one', fingerprint: 'same' };
    const writeTwo = (): Promise<{ readonly replayed: boolean }> =>
      engine.transact({ durability: 'sync', request }, (transaction) => {
        for (const key of ['a', 'b']) transaction.put({ collection: 'things', key, body: '{}' });
      });
    expect(await writeTwo()).toMatchObject({ replayed: false });
    expect(await writeTwo()).toMatchObject({ replayed: true });
    await put(engine, 'end', {});
    const [, both, end] = await scene.watch(after(0n), 3);
    expect(both).toMatchObject({ changes: [{ key: 'a' }, { key: 'b' }] });
    expect(end).toMatchObject({ changes: [{ key: 'end' }] });
  });

  it('a reader that is starved for longer than memory reaches back misses nothing (17529)', async () => {
    await using scene = await openScene();
    const { engine, watches } = scene;
    const stop = new AbortController();
    const context = { principal: ROOT, signal: stop.signal, disconnect: () => undefined };
    const target = { collection: 'things', keys: [], keyPrefix: '', where: undefined };
    const shape = { targets: [target], fields: [], withPrevious: false, fragment: false };
    const { sequence: start } = await put(engine, 'begin', {});
    const stream = watches.open(context, { ...shape, start: after(start) });
    const events = stream[Symbol.asyncIterator]();
    await events.next();
    const [commits, writes] = [60, 100];
    for (let commit = 0; commit < commits; commit++) {
      await engine.transact({ durability: 'async' }, (transaction) => {
        for (let n = 0; n < writes; n++) {
          transaction.put({ collection: 'things', key: `k${String(n)}`, body: '{}' });
        }
      });
    }
    await engine.flush();
    const told: bigint[] = [];
    while (told.length < commits * writes) {
      const next = await events.next();
      const changes = next.done !== true && next.value.kind === 'commit' ? next.value.changes : [];
      told.push(...changes.map(({ sequence }) => sequence));
    }
    stop.abort();
    expect(told).toEqual(told.map((_, at) => start + BigInt(at + 1)));
  });
});

describe('too many watches', () => {
  it('are refused, by subject and in all, and go when they end', async () => {
    await using scene = await openScene({ watchesMax: 3, watchesPerSubjectMax: 2 });
    const stops: AbortController[] = [];
    const open = async (subject: string): Promise<void> => {
      const stop = new AbortController();
      const principal = { ...ROOT, subject };
      const target = { collection: 'things', keys: [], keyPrefix: '', where: undefined };
      const shape = { targets: [target], fields: [], withPrevious: false, fragment: false };
      const context = { principal, signal: stop.signal, disconnect: () => undefined };
      const stream = scene.watches.open(context, { ...shape, start: { kind: 'now' } });
      const events = stream[Symbol.asyncIterator]();
      await events.next();
      void events.next();
      stops.push(stop);
    };
    const reasonOf = async (subject: string): Promise<unknown> =>
      await open(subject).then(
        () => 'opened',
        (error: unknown) => (error instanceof DomainError ? error.reason : error),
      );
    const outcomes = [];
    for (const subject of ['a', 'a', 'a', 'b', 'c']) outcomes.push(await reasonOf(subject));
    expect(outcomes).toEqual(['opened', 'opened', 'QUOTA_EXCEEDED', 'opened', 'QUOTA_EXCEEDED']);
    for (const stop of stops) stop.abort();
    await delay(20);
    expect(scene.watches.count).toBe(0);
    expect(await reasonOf('c')).toBe('opened');
    for (const stop of stops) stop.abort();
  });
});
