import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { startSchedule } from '../../../src/domain/snapshots/schedule.ts';

const MINUTE_MS = 60_000;
const RUN_MS = 65_000;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 31, 2, 59, 30) });
});

afterEach(() => {
  vi.useRealTimers();
});

it('a moment that passes while a run goes on is left out, and not made up for', async () => {
  const moments: number[] = [];
  using _ = startSchedule('* * * * *', {
    run: async (momentMs) => {
      moments.push((momentMs - Date.UTC(2026, 0, 31, 3)) / MINUTE_MS);
      await new Promise((resolve) => setTimeout(resolve, RUN_MS));
    },
    onFailure: (error) => {
      throw error;
    },
  });
  await vi.advanceTimersByTimeAsync(8 * MINUTE_MS);
  expect(moments).toEqual([0, 2, 4, 6]);
});
