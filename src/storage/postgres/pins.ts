import type { Unsubscribe } from '../engine.ts';
import type { Sequence } from '../types.ts';

/** What holds the floor. */
export interface Pins {
  add(lowest: () => Sequence | undefined): Unsubscribe;
  /** The lowest sequence that is held; undefined: none is. */
  lowest(): Sequence | undefined;
}

/** Creates no pins. */
export function createPins(): Pins {
  const pins = new Set<() => Sequence | undefined>();
  return {
    add(lowest) {
      // A wrapper, so that one function given twice is two pins.
      const own = (): Sequence | undefined => lowest();
      pins.add(own);
      return () => {
        pins.delete(own);
      };
    },
    lowest() {
      let least: Sequence | undefined;
      for (const pin of pins) {
        const held = pin();
        if (held !== undefined && (least === undefined || held < least)) least = held;
      }
      return least;
    },
  };
}
