import type { Clock } from '../../platform/clock.ts';
import { every } from '../../platform/timers.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { expiryOfCollection } from './catalog.ts';
import { fromSettings } from './rules.ts';

/** Removes what has expired, in slices, while the server runs. */
export interface Sweeper extends AsyncDisposable {
  /** Removes everything that has expired by now; returns how many documents went one by one. */
  sweep(): Promise<number>;
}

/** What a sweeper needs. */
export interface SweeperParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  /** Milliseconds between two sweeps. */
  readonly intervalMs: number;
  /** Told of sweeps that failed; the next one tries again. */
  readonly onFailure: (error: unknown) => void;
}

/** Documents removed in one commit. */
const SLICE = 500;

/**
 * Starts to sweep. Readers never see what has expired, swept or not; the sweep frees its space and
 * writes its end into the log, with the cause `expired`.
 */
export function startSweeper({ engine, clock, intervalMs, onFailure }: SweeperParts): Sweeper {
  let running: Promise<number> | undefined;
  let isStopped = false;

  async function sweepDocuments(): Promise<number> {
    let removed = 0;
    for (;;) {
      const due = await engine.expired(SLICE);
      if (due.length === 0 || isStopped) return removed;
      await engine.transact({ durability: 'async' }, (transaction) => {
        // What was written anew meanwhile stays: the engine removes only what has expired.
        for (const { collection, key } of due) {
          transaction.delete({ collection, key, cause: 'expired' });
        }
      });
      removed += due.length;
    }
  }

  async function sweepCollections(): Promise<void> {
    for (const { name, settings } of await engine.collections()) {
      if (name.startsWith('$') || fromSettings(settings).ttlMs === undefined) continue;
      await engine.transact({ durability: 'async' }, async (transaction) => {
        const record = await engine.findCollection(name);
        if (record === undefined) return;
        transaction.requireRevision(name, record.revision, record.lastPutAtMs);
        const endMs = expiryOfCollection(record, fromSettings(record.settings));
        if (endMs <= clock.now()) transaction.clearCollection(name, 'expired');
      });
    }
  }

  function sweep(): Promise<number> {
    running ??= sweepCollections()
      .then(sweepDocuments)
      .finally(() => {
        running = undefined;
      });
    return running;
  }

  const stop = every(intervalMs, () => {
    sweep().catch(onFailure);
  });
  return {
    sweep,
    async [Symbol.asyncDispose]() {
      isStopped = true;
      stop();
      await running?.catch(() => undefined);
    },
  };
}
