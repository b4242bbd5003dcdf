import type { Clock } from '../../platform/clock.ts';
import { every } from '../../platform/timers.ts';
import type { Lease, StorageEngine, TransactOptions } from '../../storage/engine.ts';
import type { CollectionRecord } from '../../storage/types.ts';
import { expiryOfCollection } from './catalog.ts';
import { fromSettings, type CollectionRules } from './rules.ts';

/** Removes what has expired, in slices, while the server runs. */
export interface Sweeper extends AsyncDisposable {
  /**
   * Removes what has expired by now, at most 100,000 documents one by one; returns how many it found.
   * Collections whose `ttl` has passed are emptied at once and do not count. Joins a sweep under way.
   * Finds nothing while another node of the store sweeps.
   */
  sweep(): Promise<number>;
}

/** What a sweeper needs. */
export interface SweeperParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  /** Milliseconds between two sweeps. */
  readonly intervalMs: number;
  /** Told after each sweep how many documents went one by one. */
  readonly onSwept?: (documents: number) => void;
  /** Told of what failed; the next sweep tries again. */
  readonly onFailure: (error: unknown) => void;
}

/** What one node of a store does at a time. */
const JOB = 'sweep';
/** Documents removed in one commit, and commits of one sweep. */
const SLICE_MAX = 500;
const SLICES_MAX = 200;

/**
 * Starts to sweep. Readers never see what has expired, swept or not; the sweep frees its space and
 * writes its end into the log, with the cause `expired`.
 */
export function startSweeper(parts: SweeperParts): Sweeper {
  return new TimedSweeper(parts);
}

class TimedSweeper implements Sweeper {
  readonly #parts: SweeperParts;
  readonly #stopping = new AbortController();
  readonly #stopTimer: () => void;
  /** Of each revision its `ttl`: parsing all rules at every sweep would be the most of its work. */
  #known: ReadonlyMap<string, Lifetime> = new Map<string, Lifetime>();
  #running: Promise<number> | undefined;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    this.#stopTimer = every(parts.intervalMs, () => {
      this.sweep().catch((error: unknown) => {
        this.#report(error);
      });
    });
  }

  sweep(): Promise<number> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#stopTimer();
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<number> {
    const lease = await this.#parts.engine.lease(JOB);
    if (lease === undefined) return 0;
    for (const name of await this.#dueCollections()) {
      if (this.#isStopping()) break;
      try {
        await this.#empty(name, lease);
      } catch (error) {
        // One collection that cannot be emptied must not keep the others.
        this.#report(error);
      }
    }
    const found = await this.#removeDocuments(lease);
    this.#parts.onSwept?.(found);
    return found;
  }

  async #dueCollections(): Promise<readonly string[]> {
    const { engine, clock } = this.#parts;
    const nowMs = clock.now();
    const known = new Map<string, Lifetime>();
    const due: string[] = [];
    for (const record of await engine.collections()) {
      if (record.name.startsWith('$')) continue;
      const revision = revisionOf(record);
      const lifetime = this.#known.get(revision) ?? lifetimeOf(record);
      known.set(revision, lifetime);
      if (expiryOfCollection(record, lifetime) <= nowMs) due.push(record.name);
    }
    this.#known = known;
    return due;
  }

  /** Looks once more inside the transaction: what was put meanwhile keeps the collection. */
  async #empty(name: string, lease: Lease): Promise<void> {
    const { engine, clock } = this.#parts;
    await engine.transact(this.#options(lease), async (transaction) => {
      const record = await engine.findCollection(name);
      if (record === undefined) return;
      if (expiryOfCollection(record, lifetimeOf(record)) > clock.now()) return;
      transaction.requireRevision(name, record.revision, record.lastPutAtMs);
      transaction.clearCollection(name, 'expired');
    });
  }

  async #removeDocuments(lease: Lease): Promise<number> {
    const { engine } = this.#parts;
    let found = 0;
    for (let slices = 0; slices < SLICES_MAX; slices++) {
      const due = await engine.expired(SLICE_MAX);
      if (due.length === 0) break;
      await engine.transact(this.#options(lease), (transaction) => {
        // What was written anew meanwhile stays: the engine removes only what has expired.
        for (const { collection, key } of due) {
          transaction.delete({ collection, key, cause: 'expired' });
        }
      });
      found += due.length;
    }
    return found;
  }

  /** What fails because the sweep is being stopped is no failure. */
  #report(error: unknown): void {
    if (!this.#isStopping()) this.#parts.onFailure(error);
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #options(lease: Lease): TransactOptions {
    return { durability: 'async', lease, signal: this.#stopping.signal };
  }
}

type Lifetime = Pick<CollectionRules, 'ttlMs'>;

function lifetimeOf({ settings }: CollectionRecord): Lifetime {
  const { ttlMs } = fromSettings(settings);
  return { ttlMs };
}

function revisionOf({ uid, revision }: CollectionRecord): string {
  return `${uid} ${String(revision)}`;
}
