import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createSlidingWindows } from '../../../src/platform/sliding-windows.ts';
import { createTokenBuckets } from '../../../src/platform/token-buckets.ts';
import { createManualClock } from '../../support/manual-clock.ts';

const WINDOW_MS = 60_000;

describe('a sliding window', () => {
  it('counts to its limit, and says how many are left', () => {
    const windows = createSlidingWindows(createManualClock());
    const taken = Array.from({ length: 4 }, () =>
      windows.take('a', { limit: 3, windowMs: WINDOW_MS }),
    );
    expect(taken.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0]);
    expect(taken.map(({ waitMs }) => waitMs > 0)).toEqual([false, false, false, true]);
    expect(windows.take('b', { limit: 3, windowMs: WINDOW_MS }).waitMs).toBe(0);
  });

  it('never lets twice the limit through around the end of a fixed window', () => {
    const clock = createManualClock();
    const windows = createSlidingWindows(clock);
    const bound = { limit: 10, windowMs: WINDOW_MS };
    clock.advance(WINDOW_MS - 1);
    for (let n = 0; n < 10; n++) windows.take('a', bound);
    clock.advance(2);
    expect(windows.take('a', bound).waitMs).toBe(0);
    expect(windows.take('a', bound).waitMs).toBeGreaterThan(0);
  });

  it('has room exactly when it said so, and not before', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 2 * WINDOW_MS }), { maxLength: 40 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 8 }), (waits, limit) => {
        const clock = createManualClock();
        const windows = createSlidingWindows(clock, 10);
        const bound = { limit, windowMs: WINDOW_MS };
        for (const waitMs of waits) {
          clock.advance(waitMs);
          windows.take('a', bound);
        }
        const { waitMs } = windows.take('a', bound);
        if (waitMs < 2) return;
        clock.advance(waitMs - 2);
        expect(windows.take('a', bound).waitMs).toBeGreaterThan(0);
        clock.advance(2);
        expect(windows.take('a', bound).waitMs).toBe(0);
      }),
    );
  });

  it('forgets the least recently seen beyond its memory', () => {
    const windows = createSlidingWindows(createManualClock(), 100);
    const bound = { limit: 1, windowMs: WINDOW_MS };
    for (let n = 0; n < 1000; n++) windows.take(`key ${String(n)}`, bound);
    expect(windows.size).toBe(100);
    expect(windows.take('key 999', bound).waitMs).toBeGreaterThan(0);
    expect(windows.take('key 0', bound).waitMs).toBe(0);
  });
});

describe('a token bucket', () => {
  it('lets a burst through, then what comes back', () => {
    const clock = createManualClock();
    const buckets = createTokenBuckets(clock);
    const bound = { capacity: 3, refillMs: 1000 };
    const take = (): number => buckets.take('a', bound);
    expect([take(), take(), take(), take()]).toEqual([0, 0, 0, 1000]);
    clock.advance(400);
    expect(take()).toBe(600);
    clock.advance(600);
    expect([take(), take()]).toEqual([0, 1000]);
    clock.advance(1_000_000);
    expect([take(), take(), take(), take()]).toEqual([0, 0, 0, 1000]);
  });
});
