import { afterEach, describe, expect, it, vi } from 'vitest';

import { openBudgets, type Budgets } from '../../../src/domain/quota/budgets.ts';
import { roll, roomOf, type WindowBound } from '../../../src/platform/sliding-windows.ts';
import type { SharedBudgets } from '../../../src/storage/engine.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';

const BOUND: WindowBound = { limit: 100, windowMs: 60_000 };

/** A store with one budget. */
function storeOf(clock: ManualClock): SharedBudgets & {
  mode: 'there' | 'away' | 'silent';
  nodes: number;
  draws: number;
} {
  const window = { index: 0, count: 0, before: 0 };
  const store = {
    ...{ mode: 'there' as 'there' | 'away' | 'silent', nodes: 1, draws: 0 },
    draw(draws: Parameters<SharedBudgets['draw']>[0]): ReturnType<SharedBudgets['draw']> {
      if (store.mode === 'away') return Promise.reject(new Error('away'));
      if (store.mode === 'silent') return new Promise(() => undefined);
      const shares = draws.map(({ amount, ...bound }) => {
        store.draws += 1;
        roll(window, Math.floor(clock.now() / bound.windowMs));
        const resetMs = (window.index + 1) * bound.windowMs - clock.now();
        const room = Math.max(0, Math.ceil(roomOf(window, bound, resetMs)));
        const granted = Math.min(amount, room);
        window.count += granted;
        return { ...window, granted, resetMs };
      });
      return Promise.resolve({ shares, nodes: store.nodes });
    },
  };
  return store;
}

async function passed(budgets: Budgets, calls: number): Promise<number> {
  let count = 0;
  for (let n = 0; n < calls; n++) if ((await budgets.take('ada', BOUND)).waitMs === 0) count += 1;
  return count;
}

describe('a budget that nodes share', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is spent to the last call by one node, drawn in shares, and said how much is left', async () => {
    const clock = createManualClock();
    const store = storeOf(clock);
    const budgets = openBudgets({ budgets: store }, clock);
    expect(await passed(budgets, 300)).toBe(100);
    expect(store.draws).toBeLessThan(60);
    const refused = await budgets.take('ada', BOUND);
    expect(refused).toMatchObject({ remaining: 0 });
    expect(refused.waitMs).toBeGreaterThan(0);
    // Refusals ask nobody.
    const { draws } = store;
    await passed(budgets, 50);
    expect(store.draws).toBe(draws);
    clock.advance(refused.waitMs);
    expect(await passed(budgets, 1)).toBe(1);
  });

  it('is not refused to calls at once for which the store has enough', async () => {
    const clock = createManualClock();
    const budgets = openBudgets({ budgets: storeOf(clock) }, clock);
    const verdicts = await Promise.all(
      Array.from({ length: 150 }, async () => await budgets.take('ada', BOUND)),
    );
    expect(verdicts.filter(({ waitMs }) => waitMs === 0)).toHaveLength(100);
  });

  it('leaves to others all but one share beside what a node has spent', async () => {
    const clock = createManualClock();
    const store = storeOf(clock);
    const [one, other] = [1, 2].map(() => openBudgets({ budgets: store }, clock));
    if (one === undefined || other === undefined) throw new Error('there are two');
    expect(await passed(one, 4)).toBe(4);
    expect(await passed(other, 300)).toBe(100 - 4 - 5);
    expect(await passed(one, 300)).toBe(5);
  });

  it('slides: what was spent of the window before still counts', async () => {
    const clock = createManualClock(0);
    const budgets = openBudgets({ budgets: storeOf(clock) }, clock);
    clock.advance(30_000);
    expect(await passed(budgets, 300)).toBe(100);
    clock.advance(60_000);
    const late = await passed(budgets, 300);
    expect(late).toBeGreaterThanOrEqual(50);
    expect(late).toBeLessThanOrEqual(55);
    clock.advance(120_000);
    expect(await passed(budgets, 300)).toBe(100);
  });

  it.each(['away', 'silent'] as const)(
    'is a part for each node while the store is %s, and whole again after that',
    async (mode) => {
      vi.useFakeTimers();
      const clock = createManualClock();
      const store = storeOf(clock);
      store.nodes = 4;
      const budgets = openBudgets({ budgets: store }, clock);
      await vi.advanceTimersByTimeAsync(1);
      store.mode = mode;
      const during = passed(budgets, 300);
      await vi.advanceTimersByTimeAsync(5000);
      expect(await during).toBe(25);
      clock.advance(60_000);
      const next = passed(budgets, 300);
      await vi.advanceTimersByTimeAsync(5000);
      expect(await next).toBe(25);
      if (mode === 'silent') return;
      store.mode = 'there';
      clock.advance(120_000);
      const after = passed(budgets, 300);
      await vi.advanceTimersByTimeAsync(5000);
      expect(await after).toBe(100);
    },
  );
});
