import { LRUCache } from 'lru-cache';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { CallInterceptor } from '../call.ts';

/** How much one address may ask. */
export interface AddressRateLimit {
  readonly clock: Clock;
  /** Calls per window; 0: no bound. */
  readonly requests: number;
  readonly windowMs: number;
}

/** Addresses remembered; the least recently seen are forgotten first. */
const ADDRESSES_MAX = 100_000;

interface Window {
  index: number;
  count: number;
  before: number;
}

/**
 * Bounds the calls of one address over a sliding window, before anything is verified. The window slides
 * by weighting the count of the fixed window before this one with the share of it that still counts.
 * RATE_LIMITED tells when to try again.
 */
export function createAddressRateLimit(options: AddressRateLimit): CallInterceptor {
  const { clock, requests, windowMs } = options;
  if (requests === 0) return (next) => next;
  const windows = new LRUCache<string, Window>({ max: ADDRESSES_MAX });
  return (next) => async (call) => {
    const nowMs = clock.monotonic();
    const index = Math.floor(nowMs / windowMs);
    const window = windows.get(call.origin.address) ?? { index, count: 0, before: 0 };
    if (window.index !== index) {
      window.before = window.index === index - 1 ? window.count : 0;
      window.count = 0;
      window.index = index;
    }
    windows.set(call.origin.address, window);
    const leftMs = (index + 1) * windowMs - nowMs;
    if (window.count + window.before * (leftMs / windowMs) >= requests) {
      throw limited(requests, windowMs, Math.ceil(leftMs));
    }
    window.count += 1;
    return await next(call);
  };
}

function limited(requests: number, windowMs: number, retryAfterMs: number): DomainError {
  const seconds = String(windowMs / 1000);
  return new DomainError(
    'RATE_LIMITED',
    `more than ${String(requests)} calls in ${seconds} s from this address; wait, then try again`,
    { metadata: { limit: String(requests), windowSeconds: seconds }, retryAfterMs },
  );
}
