import { delay } from '../../platform/timers.ts';

/** Lets calls through, side by side, and now and then something alone. */
export interface Gate {
  /** Nothing runs alone, or waits to. */
  readonly isOpen: boolean;
  /** Runs a call; it waits while something runs alone. */
  pass<T>(call: () => Promise<T>): Promise<T>;
  /** Lets the calls under way end, then runs `work`; one at a time. However it ends, calls go on. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

/** How often it is looked whether all is quiet. */
const DRAIN_STEP_MS = 5;

/** Creates an open gate. */
export function createGate(): Gate {
  let active = 0;
  let closed: Promise<void> | undefined;
  return {
    get isOpen() {
      return closed === undefined;
    },
    async pass(call) {
      while (closed !== undefined) await closed;
      active += 1;
      try {
        return await call();
      } finally {
        active -= 1;
      }
    },
    async alone(work) {
      let open = (): void => undefined;
      closed = new Promise((resolve) => {
        open = resolve;
      });
      try {
        while (active > 0) await delay(DRAIN_STEP_MS);
        return await work();
      } finally {
        closed = undefined;
        open();
      }
    },
  };
}
