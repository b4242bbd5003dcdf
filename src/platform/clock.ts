/** The source of time. Rooms take it as a parameter, so that tests can move it by hand. */
export interface Clock {
  /** Milliseconds since the Unix epoch, by the wall; may step backwards. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes backwards. For durations and deadlines. */
  monotonic(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
