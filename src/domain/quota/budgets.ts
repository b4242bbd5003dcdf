/**
 * Budgets of calls that hold over all nodes of a store. A node draws shares of a budget from the store and
 * spends them by itself, so that hardly any call waits for the store. Until its first share of a window has
 * come it spends an advance, which the share then covers; together nodes may so let through one advance each
 * more than the limit, and with shares that one holds and another lacks, one share each less.
 *
 * Where there is one node, its counters in memory are all there is.
 */
import { LRUCache } from 'lru-cache';

import type { Clock } from '../../platform/clock.ts';
import {
  createSlidingWindows,
  KEYS_MAX,
  roll,
  roomOf,
  waitOf,
  type Allowance,
  type WindowBound,
  type WindowCount,
} from '../../platform/sliding-windows.ts';
import { delay } from '../../platform/timers.ts';
import type { SharedBudgets, StorageEngine } from '../../storage/engine.ts';

/** Counts what happens per key over a sliding window. */
export interface Budgets {
  /** Counts one under a key when that stays within the bound, else nothing. */
  take(key: string, bound: WindowBound): Allowance | Promise<Allowance>;
  /** Keys that are remembered. */
  readonly size: number;
}

/** Opens the budgets of a store. */
export function openBudgets(engine: Pick<StorageEngine, 'budgets'>, clock: Clock): Budgets {
  const { budgets } = engine;
  return budgets === undefined ? createSlidingWindows(clock) : new SharedPurses(budgets, clock);
}

/** A share, and an advance, are this part of a limit, and at least one. */
const SHARES = 20;
const DRAWS_MAX = 256;
/** How long a call waits for a share, before the store counts as away. */
const WAIT_MS = 1000;
const WAITS_MAX = 3;
/** How long a node lives on its part of each limit, before it asks the store again. */
const AWAY_MS = 1000;

/** What a node has of one budget; as a count, what all nodes drew when it was last told. */
interface Purse extends WindowCount {
  readonly key: string;
  bound: WindowBound;
  granted: number;
  spent: number;
  /** When the window ends, by the clock of this node. */
  endsAtMs: number;
  /** Calls that wait for the next share. */
  waiting: number;
  /** Undefined: none is under way. */
  draw: Promise<void> | undefined;
  drawn: () => void;
}

class SharedPurses implements Budgets {
  readonly #shared: SharedBudgets;
  readonly #clock: Clock;
  readonly #purses = new LRUCache<string, Purse>({ max: KEYS_MAX });
  readonly #asking = new Set<Purse>();
  #isPumping = false;
  /** As many as can be, until it is known. */
  #nodes = SHARES;
  #awayUntilMs = -Infinity;

  constructor(shared: SharedBudgets, clock: Clock) {
    this.#shared = shared;
    this.#clock = clock;
    // How many nodes there are, in case that the store goes away before anything is drawn.
    void this.#drawAll([]);
  }

  get size(): number {
    return this.#purses.size;
  }

  take(key: string, bound: WindowBound): Allowance | Promise<Allowance> {
    const purse = this.#purseOf(key, bound);
    return this.#spend(purse) ?? this.#wait(purse);
  }

  #purseOf(key: string, bound: WindowBound): Purse {
    const found = this.#purses.get(key);
    if (found?.bound.windowMs === bound.windowMs) {
      found.bound = bound;
      return found;
    }
    const purse: Purse = {
      ...{ key, bound, index: 0, count: 0, before: 0, granted: 0, spent: 0, waiting: 0 },
      ...{ endsAtMs: this.#clock.monotonic() + bound.windowMs, draw: undefined },
      drawn: () => undefined,
    };
    this.#purses.set(key, purse);
    return purse;
  }

  /** Undefined: only another share can tell. */
  #spend(purse: Purse): Allowance | undefined {
    const nowMs = this.#clock.monotonic();
    rollTo(purse, nowMs);
    const { bound, granted } = purse;
    const resetMs = purse.endsAtMs - nowMs;
    const room = roomOf(purse, bound, resetMs);
    const isAway = nowMs < this.#awayUntilMs;
    const most = isAway
      ? Math.max(granted, Math.floor(bound.limit / this.#nodes), 1)
      : granted + Math.max(0, Math.min(shareOf(bound), Math.ceil(room)));
    if (purse.spent < most) {
      purse.spent += 1;
      // Before it is needed, so that nobody waits for it.
      const isLow = granted - purse.spent < shareOf(bound) / 2;
      if (isLow && room > 0 && !isAway) void this.#draw(purse);
      const remaining = Math.max(
        0,
        Math.floor(isAway ? most - purse.spent : room + granted - purse.spent),
      );
      return { waitMs: 0, remaining, resetMs };
    }
    if (isAway) return { waitMs: Math.ceil(resetMs), remaining: 0, resetMs };
    if (room > 0) return undefined;
    return { waitMs: waitOf(purse, bound, resetMs), remaining: 0, resetMs };
  }

  async #wait(purse: Purse): Promise<Allowance> {
    for (let waits = 0; waits < WAITS_MAX; waits++) {
      purse.waiting += 1;
      const answered = new AbortController();
      const isAnswered = await Promise.race([
        this.#draw(purse).then(() => true),
        delay(WAIT_MS, answered.signal).then(() => false),
      ]);
      answered.abort();
      purse.waiting -= 1;
      if (!isAnswered) this.#awayUntilMs = this.#clock.monotonic() + AWAY_MS;
      const allowance = this.#spend(purse);
      if (allowance !== undefined) return allowance;
    }
    const resetMs = purse.endsAtMs - this.#clock.monotonic();
    return { waitMs: WAIT_MS, remaining: 0, resetMs };
  }

  #draw(purse: Purse): Promise<void> {
    if (purse.draw !== undefined) return purse.draw;
    const draw = new Promise<void>((resolve) => {
      purse.drawn = resolve;
    });
    purse.draw = draw;
    this.#asking.add(purse);
    if (!this.#isPumping) void this.#pump();
    return draw;
  }

  /** What is asked for while one exchange with the store goes on is asked together in the next. */
  async #pump(): Promise<void> {
    this.#isPumping = true;
    await Promise.resolve();
    while (this.#asking.size > 0) {
      const purses = [...this.#asking].slice(0, DRAWS_MAX);
      for (const purse of purses) this.#asking.delete(purse);
      await this.#drawAll(purses);
    }
    this.#isPumping = false;
  }

  async #drawAll(purses: readonly Purse[]): Promise<void> {
    const askedAtMs = this.#clock.monotonic();
    try {
      const draws = purses.map(({ key, bound, spent, granted, waiting }) => ({
        ...{ key, ...bound },
        // So that one share lies in the purse after that, and no more.
        amount: Math.max(shareOf(bound), waiting) + spent - granted,
      }));
      const { shares, nodes } = await this.#shared.draw(draws);
      this.#nodes = Math.max(1, nodes);
      this.#awayUntilMs = -Infinity;
      for (const [at, purse] of purses.entries()) {
        const share = shares[at];
        if (share === undefined) continue;
        rollTo(purse, this.#clock.monotonic());
        const { granted, index, count, before } = share;
        Object.assign(purse, { index, count, before, granted: purse.granted + granted });
        purse.endsAtMs = askedAtMs + share.resetMs;
      }
    } catch {
      // The engine tells why by its health; here it matters only that it is so.
      this.#awayUntilMs = this.#clock.monotonic() + AWAY_MS;
    }
    for (const purse of purses) {
      purse.draw = undefined;
      purse.drawn();
    }
  }
}

/** Goes on to the window of the moment, with nothing in the purse. */
function rollTo(purse: Purse, nowMs: number): void {
  if (nowMs < purse.endsAtMs) return;
  const { windowMs } = purse.bound;
  const windows = Math.floor((nowMs - purse.endsAtMs) / windowMs) + 1;
  roll(purse, purse.index + windows);
  Object.assign(purse, { granted: 0, spent: 0, endsAtMs: purse.endsAtMs + windows * windowMs });
}

function shareOf({ limit }: WindowBound): number {
  return Math.max(1, Math.floor(limit / SHARES));
}
