/** A call that is over, in a line. */
export interface EndedActivity {
  /** Unix milliseconds. */
  readonly atMs: number;
  readonly method: string;
  readonly protocol: string;
  readonly code: string;
  readonly durationMs: number;
  /** Empty: nobody known. */
  readonly subject: string;
  readonly address: string;
  readonly requestId: string;
}

/** The last calls, in memory. */
export interface Activity {
  add(call: EndedActivity): void;
  /** The newest first. */
  recent(count: number): readonly EndedActivity[];
}

/** How many calls are remembered. */
export const ACTIVITY_MAX = 1000;

/** Creates an empty memory that forgets the oldest first. */
export function createActivity(max: number = ACTIVITY_MAX): Activity {
  const calls: EndedActivity[] = [];
  let next = 0;
  return {
    add(call) {
      calls[next] = call;
      next = (next + 1) % max;
    },
    recent: (count) =>
      [...calls.slice(next), ...calls.slice(0, next)].reverse().slice(0, Math.max(0, count)),
  };
}
