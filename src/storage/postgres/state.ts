import type { Unsubscribe } from '../engine.ts';
import { toSequence, type Sequence } from '../types.ts';
import type { ClockRow } from './clock-row.ts';

/** What a node knows of the store without asking: as of its last look at the clock. */
export interface StoreState {
  readonly clock: ClockRow;
  /** When the clock was last seen, by the monotonic clock of the node. */
  readonly seenAtMs: number;
  /** Takes over what was seen; what is older than what is known is passed over. */
  apply(clock: ClockRow, seenAtMs: number): void;
  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe;
}

/** Creates the state of a store just opened. */
export function createStoreState(first: ClockRow, firstMs: number): StoreState {
  const listeners = new Set<(lastSequence: Sequence) => void>();
  let clock = first;
  let seenAtMs = firstMs;
  return {
    get clock() {
      return clock;
    },
    get seenAtMs() {
      return seenAtMs;
    },
    apply(next, nextMs) {
      seenAtMs = Math.max(seenAtMs, nextMs);
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
