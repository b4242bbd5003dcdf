/**
 * Keeps a node in step with the others: looks at the clock every quarter of a second, and at once when
 * the database says that somebody committed. What it is told is never more than a reason to look.
 */
import { systemClock, type Clock } from '../../platform/clock.ts';
import { after, delay, every, type StopTimer } from '../../platform/timers.ts';
import type { EngineObserver } from '../observer.ts';
import type { Sequence } from '../types.ts';
import type { DatabaseAddress } from './address.ts';
import { forgetRequests } from './background.ts';
import { forgetBudgets } from './budgets.ts';
import { NOW_MS, readClock } from './clock-row.ts';
import { connect, type Connection, type ConnectionTimes } from './connections.ts';
import type { Followers } from './followers.ts';
import type { DoneJobs } from './jobs.ts';
import { createLooks, type Looks } from './looks.ts';
import { beat, BEAT_MS } from './nodes.ts';
import { findTooOld } from './release.ts';
import { sizeOf } from './schema.ts';
import type { StoreState } from './state.ts';

/** What a tailer needs. */
export interface TailerParts {
  /** Names this node. */
  readonly node: string;
  /** What this node writes. */
  readonly format: number;
  readonly address: DatabaseAddress;
  readonly times: ConnectionTimes;
  readonly clock: Clock;
  readonly state: StoreState;
  readonly followers: Followers;
  readonly done: DoneJobs;
  /** Undefined: the database cannot wake anybody up. */
  readonly channel: string | undefined;
  /** The lowest sequence that readers of this node need; undefined: none. */
  readonly pinned: () => Sequence | undefined;
  /** Called after each look. */
  readonly onSeen: () => void;
  /** Bytes of all tables. */
  readonly onSize: (bytes: number) => void;
  readonly observer?: EngineObserver | undefined;
}

/** Follows the clock. */
export interface Tailer {
  /** Looks at once; resolves after a look that began after the call. ENGINE_UNAVAILABLE when none ends in time. */
  catchUp(): Promise<void>;
  close(): Promise<void>;
}

const LOOK_MS = 250;
/** Between looks that somebody waits for: however many ask, the database is asked no more often. */
const LOOK_GAP_MS = 20;
const RECONNECT_MS = 250;
const TIDY_MS = 60_000;
const FORGOTTEN_NODES_MS = 24 * 60 * 60 * 1000;

const FORGET_NODES = `DELETE FROM node WHERE seen_at < ${NOW_MS} - $1::bigint`;

/** Starts to follow. */
export function startTailer(parts: TailerParts): Tailer {
  return new ClockTailer(parts);
}

class ClockTailer implements Tailer {
  readonly #parts: TailerParts;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  readonly #stopTicking: () => void;
  readonly #looks: Looks;
  #lookedAtMs = -Infinity;
  #stopWaiting: StopTimer | undefined;
  #wake: () => void = () => undefined;
  #isNews = false;
  #told: Sequence | undefined;
  #beatAtMs = -Infinity;
  #tidyAtMs = -Infinity;
  #isForgetting = false;

  constructor(parts: TailerParts) {
    this.#parts = parts;
    this.#looks = createLooks(parts.times.statementMs);
    this.#stopTicking = every(LOOK_MS, () => {
      this.#wake();
    });
    this.#ended = this.#run();
  }

  async catchUp(): Promise<void> {
    const seen = this.#looks.next();
    const waitMs = this.#lookedAtMs + LOOK_GAP_MS - systemClock.monotonic();
    this.#stopWaiting ??= after(Math.max(0, waitMs), () => {
      this.#stopWaiting = undefined;
      this.#isNews = true;
      this.#wake();
    });
    await seen;
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    this.#stopTicking();
    this.#stopWaiting?.();
    this.#wake();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Whatever goes wrong: another connection is tried; meanwhile the state tells how old it is.
      await this.#follow().catch((error: unknown) => {
        this.#parts.observer?.failed('following the log', error);
      });
      await delay(RECONNECT_MS, signal);
    }
  }

  async #follow(): Promise<void> {
    const { address, times, channel } = this.#parts;
    const connection = await connect(address, times);
    try {
      connection.onNotification(() => {
        this.#isNews = true;
        this.#wake();
      });
      // Nothing that it writes is worth waiting for a disk or a standby.
      await connection.command('SET synchronous_commit TO off');
      if (channel !== undefined) await connection.command(`LISTEN "${channel}"`);
      while (!this.#stopping.signal.aborted) {
        this.#isNews = false;
        await this.#look(connection);
        await this.#rest();
      }
    } finally {
      await connection.close();
    }
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      // What came while it looked may be newer than what it saw.
      if (this.#isNews || this.#stopping.signal.aborted) resolve();
    });
  }

  async #look(connection: Connection): Promise<void> {
    const { state, followers, onSeen } = this.#parts;
    this.#looks.begin();
    const askedAtMs = systemClock.monotonic();
    this.#lookedAtMs = askedAtMs;
    const before = state.clock;
    const [seen, tooOld] = await Promise.all([
      readClock(connection),
      findTooOld(connection, this.#parts.format),
    ]);
    if (tooOld !== undefined) {
      state.outdate(tooOld.message);
      return;
    }
    // Whoever watches is told of nothing before it is known who may not.
    await followers.advance(connection, seen, askedAtMs);
    state.follow(seen, before);
    this.#looks.end();
    onSeen();
    if (askedAtMs - this.#beatAtMs >= BEAT_MS || this.#isPinnedLower()) {
      if (await this.#beat(connection)) this.#beatAtMs = askedAtMs;
    }
    if (askedAtMs - this.#tidyAtMs >= TIDY_MS) {
      this.#tidyAtMs = askedAtMs;
      this.#isForgetting = true;
      await this.#tidy(connection);
    }
    // A slice a look: as fast as ids can come, and without falling behind.
    if (this.#isForgetting) {
      this.#isForgetting = await forgetRequests(connection, this.#parts.clock.now());
    }
  }

  /** Readers need more than others were told of, or none is left. */
  #isPinnedLower(): boolean {
    const pinned = this.#parts.pinned();
    if (pinned === undefined || this.#told === undefined) return pinned !== this.#told;
    return pinned < this.#told;
  }

  async #beat(connection: Connection): Promise<boolean> {
    const { node, format, pinned, done } = this.#parts;
    const lowest = pinned();
    const [isTold] = await Promise.all([
      beat(connection, { node, format, pinned: lowest }),
      done.refresh(connection),
    ]);
    if (isTold) this.#told = lowest;
    return isTold;
  }

  async #tidy(connection: Connection): Promise<void> {
    const { address, onSize } = this.#parts;
    await forgetBudgets(connection);
    await connection.command(FORGET_NODES, [FORGOTTEN_NODES_MS]);
    onSize(await sizeOf(connection, address.schema));
  }
}
