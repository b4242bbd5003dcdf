/** Durations sorted into buckets that grow by a tenth each: enough to tell quantiles within five percent. */
export interface Durations {
  /** Milliseconds. */
  add(ms: number): void;
  readonly count: number;
  /** The value below which this share of all lies, in milliseconds; 0 when there are none. */
  quantile(share: number): number;
}

/** Durations of which those older than a minute are forgotten, ten seconds at a time. */
export interface RecentDurations {
  add(ms: number, nowMs: number): void;
  /** Those of the last 50 to 60 seconds. */
  recent(nowMs: number): Durations;
}

const FIRST_MS = 0.05;
const GROWTH = 1.1;
/** The last one takes everything beyond ten minutes. */
const BUCKETS = 172;

const SLOT_MS = 10_000;
const SLOTS = 6;

/** Creates an empty set of durations. */
export function createDurations(): Durations {
  return new BucketedDurations();
}

class BucketedDurations implements Durations {
  readonly #counts = new Float64Array(BUCKETS);
  count = 0;

  add(ms: number): void {
    const at = indexOf(ms);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.count += 1;
  }

  addAll(other: BucketedDurations): void {
    for (let at = 0; at < BUCKETS; at++) {
      this.#counts[at] = (this.#counts[at] ?? 0) + (other.#counts[at] ?? 0);
    }
    this.count += other.count;
  }

  quantile(share: number): number {
    if (this.count === 0) return 0;
    let left = Math.max(1, Math.ceil(share * this.count));
    for (let at = 0; at < BUCKETS; at++) {
      left -= this.#counts[at] ?? 0;
      if (left <= 0) return middleOf(at);
    }
    return middleOf(BUCKETS - 1);
  }
}

function indexOf(ms: number): number {
  if (!(ms > FIRST_MS)) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / FIRST_MS) / Math.log(GROWTH)));
}

/** Between the two bounds of a bucket. */
function middleOf(at: number): number {
  return at === 0 ? FIRST_MS / 2 : FIRST_MS * GROWTH ** (at - 0.5);
}

interface Slot {
  readonly index: number;
  readonly durations: BucketedDurations;
}

/** Creates an empty minute. Times are those of a clock that never goes back. */
export function createRecentDurations(): RecentDurations {
  let slots: readonly Slot[] = [];
  return {
    add(ms, nowMs) {
      const index = Math.floor(nowMs / SLOT_MS);
      let slot = slots.at(-1);
      if (slot?.index !== index) {
        slot = { index, durations: new BucketedDurations() };
        slots = [...slots.filter((one) => one.index > index - SLOTS), slot];
      }
      slot.durations.add(ms);
    },
    recent(nowMs) {
      const index = Math.floor(nowMs / SLOT_MS);
      const all = new BucketedDurations();
      for (const slot of slots) if (slot.index > index - SLOTS) all.addAll(slot.durations);
      return all;
    },
  };
}
