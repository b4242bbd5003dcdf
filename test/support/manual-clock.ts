import type { Clock } from '../../src/platform/clock.ts';

/** A clock that only moves when told to. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
}

/** Starts at the last day of January 2026, in UTC. */
export function createManualClock(startMs: number = Date.UTC(2026, 0, 31)): ManualClock {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    monotonic: () => nowMs - startMs,
    advance(ms) {
      nowMs += ms;
    },
  };
}
