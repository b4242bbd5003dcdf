import { LRUCache } from 'lru-cache';

import type { Clock } from './clock.ts';
import { KEYS_MAX } from './sliding-windows.ts';

/** How many at once, and how fast room comes back. */
export interface BucketBound {
  readonly capacity: number;
  /** Milliseconds until there is room for one more. */
  readonly refillMs: number;
}

/** Bounds how fast things happen per key: a bucket that drains with each and fills evenly. */
export interface TokenBuckets {
  /** Takes one out; 0 when there was one, else the milliseconds until there is. */
  take(key: string, bound: BucketBound): number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Creates full buckets in memory; the least recently seen are forgotten first. */
export function createTokenBuckets(clock: Clock, keysMax: number = KEYS_MAX): TokenBuckets {
  const buckets = new LRUCache<string, Bucket>({ max: keysMax });
  return {
    take(key, { capacity, refillMs }) {
      const nowMs = clock.monotonic();
      const bucket = buckets.get(key) ?? { tokens: capacity, atMs: nowMs };
      buckets.set(key, bucket);
      bucket.tokens = Math.min(capacity, bucket.tokens + (nowMs - bucket.atMs) / refillMs);
      bucket.atMs = nowMs;
      if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) * refillMs);
      bucket.tokens -= 1;
      return 0;
    },
  };
}
