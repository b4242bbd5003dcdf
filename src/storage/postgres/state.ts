import type { Unsubscribe } from '../engine.ts';
import { toSequence, type Sequence } from '../types.ts';
import type { ClockRow } from './clock-row.ts';

/** What a node knows of the store without asking: as of its last look at the clock. */
export interface StoreState {
  readonly clock: ClockRow;
  /** Why nothing that this node holds is to be relied on until it is started again; undefined: it is. */
  readonly outdated: string | undefined;
  /** From now on it is not, and why. */
  outdate(why: string): void;
  /** Takes over what was seen; what is older than what is known is passed over. */
  apply(clock: ClockRow): void;
  /**
   * The same for one who knew `before` when it asked. If nothing was learned since, what it saw is newer,
   * and an end that is lower is that of a database that crashed and lost what was not on disk.
   */
  follow(clock: ClockRow, before: ClockRow): void;
  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe;
}

/** Creates the state of a store just opened. */
export function createStoreState(first: ClockRow): StoreState {
  const listeners = new Set<(lastSequence: Sequence) => void>();
  let clock = first;
  let outdated: string | undefined;

  function take(next: ClockRow): void {
    if (next.epoch !== first.epoch) outdated ??= OTHER_TIMELINE;
    else if (next.durable_seq < clock.durable_seq) outdated ??= LOST;
    if (outdated !== undefined) return;
    const hasGrown = next.seq > clock.seq || next.durable_seq > clock.durable_seq;
    clock = next;
    if (hasGrown) for (const listener of listeners) listener(toSequence(next.seq));
  }

  function apply(next: ClockRow): void {
    const isOlder = next.seq < clock.seq || next.durable_seq < clock.durable_seq;
    if (!isOlder || next.epoch !== first.epoch) take(next);
  }

  return {
    get clock() {
      return clock;
    },
    get outdated() {
      return outdated;
    },
    outdate(why) {
      outdated ??= why;
    },
    apply,
    follow(next, before) {
      if (before === clock) take(next);
      else apply(next);
    },
    onCommit(listener) {
      // A wrapper, so that one function subscribed twice is two subscriptions.
      const own = (sequence: Sequence): void => {
        listener(sequence);
      };
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
  };
}

const OTHER_TIMELINE = 'the database has begun a new timeline of the log';
const LOST =
  'the database has lost commits that were on its disk: begin a new timeline of the log first (operating/postgres.md)';
