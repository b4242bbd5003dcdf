import { LRUCache } from 'lru-cache';

import type { Clock } from './clock.ts';

/** Counts what happens per key over a sliding window. */
export interface SlidingWindows {
  /**
   * Counts one under a key, when that stays within `limit` per window; else counts nothing and returns in how
   * many milliseconds the window ends.
   */
  take(key: string, limit: number): number | undefined;
}

interface Window {
  index: number;
  count: number;
  before: number;
}

/** Keys remembered; the least recently seen are forgotten first. */
const KEYS_MAX = 100_000;

/**
 * Creates counters in memory. The window slides by weighting the count of the fixed window before this one
 * with the share of it that still counts.
 */
export function createSlidingWindows(clock: Clock, windowMs: number): SlidingWindows {
  const windows = new LRUCache<string, Window>({ max: KEYS_MAX });
  return {
    take(key, limit) {
      const nowMs = clock.monotonic();
      const index = Math.floor(nowMs / windowMs);
      const window = windows.get(key) ?? { index, count: 0, before: 0 };
      if (window.index !== index) {
        window.before = window.index === index - 1 ? window.count : 0;
        window.count = 0;
        window.index = index;
      }
      windows.set(key, window);
      const leftMs = (index + 1) * windowMs - nowMs;
      if (window.count + window.before * (leftMs / windowMs) >= limit) return Math.ceil(leftMs);
      window.count += 1;
      return undefined;
    },
  };
}
