/** What waits for a thread or for the writer: for how long, and what becomes of who goes away. */
import { setTimeout as wait } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { MATCH_ALL } from '../../../src/storage/query/filter.ts';
import { ALL_KEYS } from '../../../src/storage/types.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

/** Enough for a scan, and for a commit, to be under way while others come. */
const MANY = 10_000;

async function withStore(body: (engine: StorageEngine) => Promise<void>): Promise<void> {
  using directory = createTemporaryDirectory();
  await using engine = await openEmbeddedStore({
    ...{ directory: directory.path, clock: systemClock, readers: 1, waitMaxMs: 1 },
  });
  await body(engine);
}

function putMany(engine: StorageEngine): Promise<unknown> {
  return engine.transact({ durability: 'async' }, (transaction) => {
    for (let n = 0; n < MANY; n++) {
      const body = JSON.stringify({ n, text: 'x'.repeat(100) });
      transaction.put({ collection: 'things', key: `k${String(n)}`, body });
    }
  });
}

function put(engine: StorageEngine, key: string, signal?: AbortSignal): Promise<unknown> {
  return engine.transact({ durability: 'async', signal }, (transaction) => {
    transaction.put({ collection: 'things', key, body: '{}' });
  });
}

function count(engine: StorageEngine, signal?: AbortSignal): Promise<unknown> {
  const limits = {
    examinedMax: 1e6,
    sortedMax: 1e6,
    timeMs: 30_000,
    memoryBytesMax: 1e9,
    pageBytesMax: 1e9,
  };
  const aggregation = {
    ...{ collection: 'things', access: ALL_KEYS, keys: undefined, keyPrefix: '' },
    ...{ filter: MATCH_ALL, joins: [], limits, groupBy: [['n']], metrics: [], groupsMax: 1e6 },
  };
  return engine.aggregate(aggregation, { signal });
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'done',
    (error: unknown) => (error as { readonly reason: string }).reason,
  );
}

describe('reads', () => {
  it('are refused while one waits too long for a thread, and taken again after that', async () => {
    await withStore(async (engine) => {
      await putMany(engine);
      const running = reasonOf(count(engine));
      const waiting = reasonOf(count(engine));
      await wait(10);
      const error: unknown = await count(engine).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ reason: 'OVERLOADED', retryAfterMs: 1 });
      // Documents by key do not wait for a thread.
      expect(await engine.get('things', ['k1'])).toHaveLength(1);
      expect([await running, await waiting]).toEqual(['done', 'done']);
      expect(await reasonOf(count(engine))).toBe('done');
    });
  });

  it('are done while the main loop is busy, however many', async () => {
    using directory = createTemporaryDirectory();
    await using engine = await openEmbeddedStore({
      ...{ directory: directory.path, clock: systemClock, readers: 2 },
    });
    await put(engine, 'one');
    // The threads have started.
    await Promise.all([count(engine), count(engine)]);
    let done = 0;
    const all = Array.from({ length: 30 }, async () => {
      await count(engine);
      done += 1;
    });
    // Threads are told at the end of a turn.
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    // The turns in which the answers are heard, and in which the next would be asked for.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(30);
    await Promise.all(all);
    expect(engine.figures().readers[0]).toMatchObject({ waiting: 0, busy: 0 });
  });

  it('that threads were told of can be taken back before one of them has time', async () => {
    using directory = createTemporaryDirectory();
    await using engine = await openEmbeddedStore({
      ...{ directory: directory.path, clock: systemClock, readers: 2 },
    });
    await putMany(engine);
    const done: string[] = [];
    const leaver = new AbortController();
    const work = Array.from({ length: 20 }, async (_, at) => {
      const reason = await reasonOf(count(engine, at < 4 ? undefined : leaver.signal));
      done.push(reason);
    });
    leaver.abort();
    await Promise.all(work);
    // Those that left did not wait for the others.
    expect(done).toEqual([...Array<string>(16).fill('CANCELED'), ...Array<string>(4).fill('done')]);
    expect(engine.figures().readers[0]).toMatchObject({ waiting: 0, busy: 0 });
  });

  it('of who goes away are not begun, or stopped', async () => {
    await withStore(async (engine) => {
      await putMany(engine);
      const [first, second] = [new AbortController(), new AbortController()];
      const running = reasonOf(count(engine, first.signal));
      const waiting = reasonOf(count(engine, second.signal));
      second.abort();
      expect(await waiting).toBe('CANCELED');
      expect(engine.figures().readers[0]).toMatchObject({ waiting: 0, busy: 1 });
      first.abort();
      expect(await running).toBe('CANCELED');
      expect(engine.figures().readers[0]).toMatchObject({ waiting: 0, busy: 0 });
    });
  });
});

describe('writes', () => {
  it('that come in one turn of the event loop are one commit', async () => {
    using directory = createTemporaryDirectory();
    const groups: number[] = [];
    await using engine = await openEmbeddedStore({
      ...{ directory: directory.path, clock: systemClock },
      observer: {
        committed: (transactions) => groups.push(transactions),
        synced: () => undefined,
        failed: () => undefined,
      },
    });
    await put(engine, 'first');
    await Promise.all(Array.from({ length: 50 }, (_, n) => put(engine, `k${String(n)}`)));
    expect(groups).toEqual([1, 50]);
    // A large one waits for nobody.
    await Promise.all([putMany(engine), put(engine, 'small'), put(engine, 'other')]);
    expect(groups).toEqual([1, 50, 1, 2]);
  });

  it('are refused while one waits too long for the writer, and taken again after that', async () => {
    await withStore(async (engine) => {
      const running = reasonOf(putMany(engine));
      await wait(0);
      const waiting = reasonOf(put(engine, 'waiting'));
      await wait(10);
      const error: unknown = await put(engine, 'refused').catch((failure: unknown) => failure);
      expect(error).toMatchObject({ reason: 'OVERLOADED', retryAfterMs: 1 });
      expect([await running, await waiting]).toEqual(['done', 'done']);
      expect(await reasonOf(put(engine, 'later'))).toBe('done');
      const found = await engine.get('things', ['waiting', 'refused', 'later']);
      expect(found.map((one) => one?.key)).toEqual(['waiting', undefined, 'later']);
    });
  });

  it('of who goes away before their turn do not happen', async () => {
    await withStore(async (engine) => {
      const running = reasonOf(putMany(engine));
      await wait(0);
      const leaver = new AbortController();
      const leaving = reasonOf(put(engine, 'left', leaver.signal));
      await wait(0);
      leaver.abort();
      expect([await running, await leaving]).toEqual(['done', 'CANCELED']);
      expect(engine.health().queuedBytes).toBe(0);
      expect(await engine.get('things', ['left'])).toEqual([undefined]);
      expect(await reasonOf(put(engine, 'next'))).toBe('done');
    });
  });
});
