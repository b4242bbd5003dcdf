import type { Clock } from '../../platform/clock.ts';
import { every } from '../../platform/timers.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { toSequence, type Sequence } from '../../storage/types.ts';

/** How much of the past is kept. */
export interface RetentionRules {
  /** Milliseconds; 0 keeps it for ever. */
  readonly ageMs: number;
  /** Bytes of bodies that only the past needs; 0: no bound. */
  readonly bytesMax: number;
}

/** Raises the floor of the log by these rules while the server runs. */
export interface Retention extends AsyncDisposable {
  /** Looks once, now, unless another node of the store does; returns the floor. */
  apply(): Promise<Sequence>;
}

/** What retention needs. */
export interface RetentionParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly rules: RetentionRules;
  readonly intervalMs: number;
  /** Told of what failed; the next look tries again. */
  readonly onFailure: (error: unknown) => void;
}

/** Starts to look at the log from time to time. */
export function startRetention(parts: RetentionParts): Retention {
  return new TimedRetention(parts);
}

class TimedRetention implements Retention {
  readonly #parts: RetentionParts;
  readonly #stopTimer: () => void;
  #running: Promise<void> | undefined;
  #isStopping = false;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
    this.#stopTimer = every(parts.intervalMs, () => {
      this.#running ??= this.#look().finally(() => {
        this.#running = undefined;
      });
    });
  }

  async apply(): Promise<Sequence> {
    const { engine } = this.#parts;
    const { oldest } = await engine.head();
    const lease = await engine.lease('retention');
    if (lease === undefined) return oldest;
    const wanted = [await this.#byAge(), await this.#bySize()];
    const floor = wanted.reduce((highest, one) => (one > highest ? one : highest), oldest);
    return floor > oldest ? await engine.compact(floor, lease) : oldest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    this.#stopTimer();
    await this.#running;
  }

  async #look(): Promise<void> {
    try {
      await this.apply();
    } catch (error) {
      if (!this.#isStopping) this.#parts.onFailure(error);
    }
  }

  async #byAge(): Promise<Sequence> {
    const { engine, clock, rules } = this.#parts;
    if (rules.ageMs === 0) return toSequence(0);
    return await engine.sequenceAt(clock.now() - rules.ageMs);
  }

  /** By as large a part of the log as the history is too large; the next looks come closer. */
  async #bySize(): Promise<Sequence> {
    const { engine, rules } = this.#parts;
    const { historyBytes } = engine.health();
    if (rules.bytesMax === 0 || historyBytes <= rules.bytesMax) return toSequence(0);
    const { oldest, sequence } = await engine.head();
    const excess = (historyBytes - rules.bytesMax) / historyBytes;
    return toSequence(oldest + BigInt(Math.ceil(Number(sequence - oldest) * excess)));
  }
}
