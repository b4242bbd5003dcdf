import { hasReason } from '../../errors/domain-error.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { Sequence } from '../../storage/types.ts';

/** Tells when the oldest entry that a log still has was committed, in Unix milliseconds; undefined: it has none. */
export type OldestEntry = () => Promise<number | undefined>;

/** Creates it. One entry is read, and another one only when the floor of the log has risen. */
export function createOldestEntry(engine: Pick<StorageEngine, 'head' | 'readLog'>): OldestEntry {
  let known:
    { readonly floor: Sequence; readonly epoch: string; readonly atMs: number } | undefined;
  async function look(): Promise<number | undefined> {
    const { epoch, oldest: floor } = await engine.head();
    if (known?.floor === floor && known.epoch === epoch) return known.atMs;
    const [entry] = await engine.readLog({ epoch, sequence: floor }, { limit: 1, charsMax: 1 });
    known = entry && { floor, epoch, atMs: entry.timestampMs };
    return known?.atMs;
  }

  return async () => {
    try {
      return await look();
    } catch (error) {
      // The floor rose between the two questions, as it does a step at a time.
      if (hasReason(error, 'SEQUENCE_COMPACTED')) return await look();
      throw error;
    }
  };
}
