import { systemClock, type Clock } from '../../platform/clock.ts';
import { after, soon } from '../../platform/timers.ts';
import type { EngineObserver } from '../observer.ts';
import { createGroupQueue, type GroupQueue } from '../commit/group-queue.ts';
import type { CommitOutcome, CommitRequest } from '../commit/operations.ts';
import { backgroundTurn } from './background.ts';
import { flushTurn } from './catalog-turns.ts';
import { commitTurn } from './group.ts';
import type { LogTurns, Turn } from './log-turn.ts';
import type { StoreState } from './state.ts';

/** Writes of one node. */
export interface Writer {
  /** Queues a transaction; it commits together with others that wait. */
  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitOutcome>;
  /** Does something else that needs the log; background work that it leaves begins. */
  run<N, T>(turn: Turn<N, T>): Promise<T>;
  /** Begins what the clock says is left to do, and flushes what nobody flushed. */
  look(): void;
  readonly queuedBytes: number;
  readonly commits: number;
  close(): Promise<void>;
}

/** What a writer needs. */
export interface WriterParts {
  readonly turns: LogTurns;
  readonly state: StoreState;
  readonly clock: Clock;
  readonly observer?: EngineObserver | undefined;
  /** Longest wait for a turn before writes are refused, in milliseconds; 0: as long as the queue has room. */
  readonly waitMaxMs: number;
}

/** How long an asynchronous commit may stay off the disk, in milliseconds. */
const FLUSH_MS = 50;
/** Whoever committed without waiting for the disk has flushed by then, or is gone. */
const ABANDONED_MS = 5 * FLUSH_MS;
/** Pause after background work that failed; the next look tries it again. */
const FAILED_MS = 1000;

/** Creates the writer of a node. */
export function createWriter(parts: WriterParts): Writer {
  return new TurnWriter(parts);
}

class TurnWriter implements Writer {
  readonly #parts: WriterParts;
  readonly #queue: GroupQueue;
  #isWorking = false;
  #stopFlush: (() => void) | undefined;
  /** The last sequence, and since when it has been that. */
  #seen = { seq: 0, sinceMs: 0 };
  #isClosed = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    const { turns, clock, observer, waitMaxMs } = parts;
    this.#queue = createGroupQueue({
      ...{ clock, observer, waitMaxMs },
      commitGroup: async (requests) => {
        const outcomes = await turns.take(commitTurn(requests, clock.now()));
        this.#afterTurn();
        return outcomes;
      },
    });
  }

  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  get commits(): number {
    return this.#queue.commits;
  }

  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitOutcome> {
    return this.#queue.commit(request, signal);
  }

  async run<N, T>(turn: Turn<N, T>): Promise<T> {
    const result = await this.#parts.turns.take(turn);
    this.#afterTurn();
    return result;
  }

  look(): void {
    const { seq, durable_seq: durable } = this.#parts.state.clock;
    const nowMs = systemClock.monotonic();
    if (this.#seen.seq !== seq) this.#seen = { seq, sinceMs: nowMs };
    // A node that is gone may have left something that nobody flushes.
    if (durable < seq && nowMs - this.#seen.sinceMs >= ABANDONED_MS) this.#flushSoon();
    this.#work();
  }

  async close(): Promise<void> {
    await this.#queue.drain();
    this.#isClosed = true;
    this.#stopFlush?.();
    await this.#flush().catch(() => undefined);
    await this.#parts.turns.close();
  }

  #afterTurn(): void {
    const { seq, durable_seq: durable } = this.#parts.state.clock;
    if (durable < seq) this.#flushSoon();
    this.#work();
  }

  #flushSoon(): void {
    if (this.#isClosed) return;
    this.#stopFlush ??= after(FLUSH_MS, () => {
      this.#stopFlush = undefined;
      // One that fails is made good by the next look.
      void this.#flush().catch(() => undefined);
    });
  }

  async #flush(): Promise<void> {
    const { state, turns } = this.#parts;
    if (state.clock.durable_seq < state.clock.seq) await turns.take(flushTurn());
  }

  /** One slice after the other, each behind the commits that wait. */
  #work(): void {
    if (this.#isWorking || this.#isClosed || !this.#parts.state.clock.has_work) return;
    this.#isWorking = true;
    const { turns, clock, observer } = this.#parts;
    const next = (isMore: boolean): void => {
      this.#isWorking = false;
      if (isMore)
        soon(() => {
          this.#work();
        });
    };
    turns.take(backgroundTurn(clock.now())).then(next, (error: unknown) => {
      observer?.failed('building indexes and freeing space', error);
      after(FAILED_MS, () => {
        this.#isWorking = false;
      });
    });
  }
}
