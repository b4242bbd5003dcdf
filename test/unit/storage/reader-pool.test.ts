/** Which thread does which read, with threads that sleep, and die. */
import { Worker } from 'node:worker_threads';

import { afterEach, describe, expect, it } from 'vitest';

import { createReaderPool, type ReaderPool } from '../../../src/storage/embedded/reader-pool.ts';
import { createRandom } from '../../support/random.ts';

const STUB = new URL('../../support/sleeping-reader.ts', import.meta.url);
/** As in the stub, which cannot be imported into this thread. */
const DEADLY = 666;
const WAIT_MAX_MS = 60_000;

let pool: ReaderPool;

function open(wanted: { threads: number; atOnce?: number; isBroken?: boolean }): void {
  const { threads, atOnce = threads, isBroken = false } = wanted;
  const access = { file: '', dataKey: undefined, cacheBytes: 0 };
  pool = createReaderPool(
    access,
    { threads, atOnce, waitMaxMs: WAIT_MAX_MS },
    (settings) => new Worker(STUB, { workerData: { ...settings, isBroken } }),
  );
}

/** The number of the thread that did it, or the reason why none did. */
async function sleep(ms: number, signal?: AbortSignal): Promise<number | string> {
  return await pool.run({ kind: 'expired', limit: ms }, { nowMs: 0, signal }).then(
    (thread) => thread as unknown as number,
    (error: unknown) => (error as { readonly reason: string }).reason,
  );
}

afterEach(async () => {
  await pool.close();
});

describe('a pool of reader threads', () => {
  it('does what is offered while other reads are long', async () => {
    open({ threads: 2 });
    await Promise.all([sleep(1), sleep(1)]);
    const leaver = new AbortController();
    const long = sleep(WAIT_MAX_MS, leaver.signal);
    const short = await Promise.all(Array.from({ length: 300 }, () => sleep(0)));
    expect(new Set(short).size).toBe(1);
    leaver.abort();
    expect(short).not.toContain(await long);
  });

  it('has no more threads work at once than it may', async () => {
    open({ threads: 2, atOnce: 1 });
    const short = await Promise.all(Array.from({ length: 300 }, () => sleep(0)));
    expect(new Set(short)).toEqual(new Set([1]));
  });

  it('has another thread work while one that might is held up', async () => {
    open({ threads: 2, atOnce: 1 });
    const leaver = new AbortController();
    const long = sleep(WAIT_MAX_MS, leaver.signal);
    // What the first thread was told before it was held up, and what comes after that.
    const short = await Promise.all(Array.from({ length: 300 }, () => sleep(0)));
    expect(new Set(short)).toEqual(new Set([2]));
    expect(await sleep(0)).toBe(2);
    leaver.abort();
    expect(await long).toBe(1);
    expect(await sleep(0)).toBe(1);
  });

  it('settles each read once, whoever leaves', async () => {
    open({ threads: 3 });
    const random = createRandom(1);
    const some = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const leaver = new AbortController();
        const read = sleep(random.below(3), leaver.signal);
        if (random.below(3) === 0)
          setTimeout(() => {
            leaver.abort();
          }, random.below(50));
        return await read;
      }),
    );
    expect(some.filter((one) => one !== 'CANCELED').every((one) => Number(one) <= 3)).toBe(true);
    expect(pool.load()).toEqual({ waiting: 0, busy: 0 });
  });

  it('loses with a thread what it did, and nothing that was offered', async () => {
    open({ threads: 2 });
    await Promise.all([sleep(1), sleep(1)]);
    const dying = [sleep(DEADLY), sleep(DEADLY)];
    const offered = Array.from({ length: 20 }, () => sleep(1));
    expect(await Promise.all(dying)).toEqual(['ENGINE_UNAVAILABLE', 'ENGINE_UNAVAILABLE']);
    for (const thread of await Promise.all(offered)) expect(thread).toBeGreaterThan(2);
    expect(pool.load()).toEqual({ waiting: 0, busy: 0 });
  });

  it('refuses what threads that do not start cannot do', async () => {
    open({ threads: 2, isBroken: true });
    const reads = await Promise.all(Array.from({ length: 5 }, () => sleep(1)));
    expect(new Set(reads)).toEqual(new Set(['ENGINE_UNAVAILABLE']));
  });

  it('refuses what is under way when it is closed', async () => {
    open({ threads: 2 });
    const reads = Array.from({ length: 20 }, () => sleep(WAIT_MAX_MS));
    await pool.close();
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['ENGINE_UNAVAILABLE']));
    expect(await sleep(1)).toBe('ENGINE_UNAVAILABLE');
  });
});
