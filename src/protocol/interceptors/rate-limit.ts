import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { createSlidingWindows } from '../../platform/sliding-windows.ts';
import type { CallInterceptor } from '../call.ts';

/** How much one address may ask. */
export interface AddressRateLimit {
  /** Calls per window; 0: no bound. */
  readonly requests: number;
  readonly windowMs: number;
}

const MINUTE_MS = 60_000;

/**
 * Bounds the calls of one address by the limit of the moment over a sliding window, before anything is verified. RATE_LIMITED tells
 * when to try again.
 */
export function createAddressRateLimit(
  clock: Clock,
  current: () => AddressRateLimit,
): CallInterceptor {
  let windowMs = current().windowMs;
  let windows = createSlidingWindows(clock, windowMs);
  return (next) => async (call) => {
    const limit = current();
    const { requests } = limit;
    if (requests === 0) return await next(call);
    if (limit.windowMs !== windowMs) {
      windowMs = limit.windowMs;
      windows = createSlidingWindows(clock, windowMs);
    }
    const waitMs = windows.take(call.origin.address, requests);
    if (waitMs !== undefined) throw limited('from this address', { requests, windowMs, waitMs });
    return await next(call);
  };
}

/**
 * Bounds the calls with a delegated token by what it was made with, and with it those of everything that
 * was delegated with it: a bound is not stretched by delegating on.
 */
export function createTokenRateLimit(clock: Clock): CallInterceptor {
  const windows = createSlidingWindows(clock, MINUTE_MS);
  return (next) => async (call) => {
    for (const { grantId, callsPerMinute } of call.principal.credential?.chain.links ?? []) {
      const waitMs = callsPerMinute === 0 ? undefined : windows.take(grantId, callsPerMinute);
      const bound = { requests: callsPerMinute, windowMs: MINUTE_MS };
      if (waitMs !== undefined) throw limited('with this token', { ...bound, waitMs });
    }
    return await next(call);
  };
}

function limited(
  whose: string,
  bound: { readonly requests: number; readonly windowMs: number; readonly waitMs: number },
): DomainError {
  const { requests, windowMs, waitMs: retryAfterMs } = bound;
  const seconds = String(windowMs / 1000);
  return new DomainError(
    'RATE_LIMITED',
    `more than ${String(requests)} calls in ${seconds} s ${whose}; wait, then try again`,
    { metadata: { limit: String(requests), windowSeconds: seconds }, retryAfterMs },
  );
}
