import type { StorageEngine } from '../../storage/engine.ts';
import type { Sequence } from '../../storage/types.ts';

/** Tells when the oldest entry that a log still has was committed, in Unix milliseconds; undefined: it has none. */
export type OldestEntry = () => Promise<number | undefined>;

/** Creates it. One entry is read, and another one only when the floor of the log has risen. */
export function createOldestEntry(engine: Pick<StorageEngine, 'head' | 'readLog'>): OldestEntry {
  let known:
    { readonly floor: Sequence; readonly epoch: string; readonly atMs: number } | undefined;
  return async () => {
    const { epoch, oldest: floor } = await engine.head();
    if (known?.floor === floor && known.epoch === epoch) return known.atMs;
    const [entry] = await engine.readLog({ epoch, sequence: floor }, { limit: 1, charsMax: 1 });
    known = entry && { floor, epoch, atMs: entry.timestampMs };
    return known?.atMs;
  };
}
