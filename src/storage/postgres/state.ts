import type { Unsubscribe } from '../engine.ts';
import { toSequence, type Sequence } from '../types.ts';
import type { ClockRow } from './clock-row.ts';

/** What a node knows of the store without asking: as of its last look at the clock. */
export interface StoreState {
  readonly clock: ClockRow;
  /** Takes over what was seen; what is older than what is known is passed over. */
  apply(clock: ClockRow): void;
  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe;
}

/** Creates the state of a store just opened. */
export function createStoreState(first: ClockRow): StoreState {
  const listeners = new Set<(lastSequence: Sequence) => void>();
  let clock = first;
  return {
    get clock() {
      return clock;
    },
    apply(next) {
      if (next.seq < clock.seq || next.durable_seq < clock.durable_seq) return;
      const hasGrown = next.seq > clock.seq || next.durable_seq > clock.durable_seq;
      clock = next;
      if (hasGrown) for (const listener of listeners) listener(toSequence(next.seq));
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
