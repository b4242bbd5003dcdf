import { LRUCache } from 'lru-cache';

import type { Clock } from './clock.ts';

/** How many may happen in how long. */
export interface WindowBound {
  readonly limit: number;
  readonly windowMs: number;
}

/** How a key stands after one was asked for. */
export interface Allowance {
  /** In how many milliseconds there is room for another one; 0: this one was counted. */
  readonly waitMs: number;
  /** How many more there is room for now. */
  readonly remaining: number;
  /** In how many milliseconds the window ends. */
  readonly resetMs: number;
}

/** Counts what happens per key over a sliding window. */
export interface SlidingWindows {
  /** Counts one under a key when that stays within the bound, else nothing. */
  take(key: string, bound: WindowBound): Allowance;
  /** Lets a key start over. */
  forget(key: string): void;
  /** Keys that are remembered. */
  readonly size: number;
}

/** What was counted in a window, and in the one before it. Windows are numbered from the start of time. */
export interface WindowCount {
  index: number;
  count: number;
  before: number;
}

interface Window extends WindowCount {
  windowMs: number;
}

/** Keys remembered; the least recently seen are forgotten first. */
export const KEYS_MAX = 100_000;

/**
 * Creates counters in memory. The window slides by weighting the count of the fixed window before this one
 * with the share of it that still counts.
 */
export function createSlidingWindows(clock: Clock, keysMax: number = KEYS_MAX): SlidingWindows {
  const windows = new LRUCache<string, Window>({ max: keysMax });

  function windowOf(key: string, windowMs: number, index: number): Window {
    let window = windows.get(key);
    if (window?.windowMs !== windowMs) {
      window = { windowMs, index, count: 0, before: 0 };
      windows.set(key, window);
    }
    roll(window, index);
    return window;
  }

  return {
    take(key, { limit, windowMs }) {
      const nowMs = clock.monotonic();
      const index = Math.floor(nowMs / windowMs);
      const window = windowOf(key, windowMs, index);
      const resetMs = (index + 1) * windowMs - nowMs;
      const room = roomOf(window, { limit, windowMs }, resetMs);
      if (room <= 0) {
        return { waitMs: waitOf(window, { limit, windowMs }, resetMs), remaining: 0, resetMs };
      }
      window.count += 1;
      return { waitMs: 0, remaining: Math.max(0, Math.ceil(room) - 1), resetMs };
    },
    forget: (key) => {
      const window = windows.peek(key);
      if (window !== undefined) Object.assign(window, { count: 0, before: 0 });
    },
    get size() {
      return windows.size;
    },
  };
}

/** Goes on to a window. */
export function roll(window: WindowCount, index: number): void {
  if (window.index === index) return;
  window.before = window.index === index - 1 ? window.count : 0;
  window.count = 0;
  window.index = index;
}

/** How many there is room for, `resetMs` before the window ends; a part of one is enough for one. */
export function roomOf(
  { count, before }: WindowCount,
  { limit, windowMs }: WindowBound,
  resetMs: number,
): number {
  return limit - count - before * (resetMs / windowMs);
}

/** Until what still counts of the past leaves room: in this window, or else a moment into the next one. */
export function waitOf(
  { count, before }: WindowCount,
  { limit, windowMs }: WindowBound,
  resetMs: number,
): number {
  const room = limit - count;
  const waitMs =
    room > 0
      ? resetMs - (windowMs * room) / before
      : resetMs + windowMs - (windowMs * limit) / count;
  return Math.floor(waitMs) + 1;
}
