import type { Clock } from '../../platform/clock.ts';
import type { ReadOptions } from '../engine.ts';
import type { StoredDocument } from '../types.ts';
import type { DocumentCache } from './document-cache.ts';
import type { Reader } from './reader.ts';
import type { StoreState } from './store-state.ts';

/** Reads a few documents by key, on the main thread and at once. */
export type PointReads = (
  collection: string,
  keys: readonly string[],
) => readonly (StoredDocument | undefined)[];

/** What point reads work with. */
export interface PointReadsParts {
  readonly clock: Clock;
  readonly cache: DocumentCache;
  readonly state: StoreState;
  /** Counts commits begun; shared with the writer. */
  readonly commits: Int32Array;
}

/** Keys read on the main thread at once; more go to a reader thread. */
const KEYS_MAX = 64;

/** Whether a read is small enough for the main thread, and of now. */
export function isPointRead(keys: readonly string[], { atSequence }: ReadOptions): boolean {
  return atSequence === undefined && keys.length <= KEYS_MAX;
}

/** Reads from the cache where it is known to be new, and from the file otherwise. */
export function createPointReads(
  reader: Reader,
  { cache, clock, commits, state }: PointReadsParts,
): PointReads {
  /** No commit is under way that this thread has not been told of. */
  const isCacheFresh = (): boolean => Atomics.load(commits, 0) === state.commits;
  return (collection, keys) => {
    const nowMs = clock.now();
    const isFresh = isCacheFresh();
    if (isFresh && keys.length === 1) {
      const cached = cache.get(collection, keys[0] ?? '');
      if (cached !== undefined && !isExpired(cached, nowMs)) return [cached];
    }
    const found = reader.get(collection, keys, { atSequence: undefined, nowMs });
    // What was read belongs to the cache only when no commit came in between.
    if (isFresh && isCacheFresh()) for (const document of found) if (document) cache.set(document);
    return found;
  };
}

function isExpired(document: StoredDocument, nowMs: number): boolean {
  return document.expiresAtMs !== undefined && document.expiresAtMs <= nowMs;
}
