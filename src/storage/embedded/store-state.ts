import { toSequence, type CollectionRecord, type IndexRecord, type Sequence } from '../types.ts';
import type { Unsubscribe } from '../engine.ts';
import type { CollectionRow, IndexRow } from '../commit/rows.ts';
import { collectionOf, indexOf } from '../commit/rows.ts';
import type { WriterState } from './protocol.ts';

/** What the main thread knows without reading: collections, indexes, the end of the log. */
export interface StoreState {
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  readonly durableSequence: number;
  readonly floor: number;
  readonly historyBytes: number;
  /** The counter of commits begun that this state knows of. */
  readonly commits: number;
  readonly fault: string | undefined;
  apply(state: WriterState): void;
  fail(fault: string): void;
  collections(): readonly CollectionRecord[];
  collection(name: string): CollectionRecord | undefined;
  indexes(collection: string): readonly IndexRecord[];
  onCommit(listener: (lastSequence: Sequence) => void): Unsubscribe;
}

interface Known {
  readonly record: CollectionRecord;
  readonly indexes: readonly IndexRecord[];
}

/** Where a state starts. */
export interface InitialState {
  readonly collections: readonly CollectionRow[];
  readonly indexes: readonly IndexRow[];
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  readonly floor: number;
  readonly historyBytes: number;
}

/** Creates the state of a store just opened. */
export function createStoreState(initial: InitialState): StoreState {
  const known = new Map<string, Known>();
  const listeners = new Set<(lastSequence: Sequence) => void>();
  let { lastSequence, lastTimestampMs, floor, historyBytes } = initial;
  let durableSequence = lastSequence;
  let commits = 0;
  let fault: string | undefined;
  for (const row of initial.collections) {
    const indexes = initial.indexes.filter(({ collection }) => collection === row.id);
    remember(row, indexes);
  }

  function remember(row: CollectionRow, indexes: readonly IndexRow[]): void {
    const records = indexes
      .map((index) => indexOf(row.name, index))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    known.set(row.name, { record: collectionOf(row), indexes: records });
  }

  return {
    get lastSequence() {
      return lastSequence;
    },
    get lastTimestampMs() {
      return lastTimestampMs;
    },
    get durableSequence() {
      return durableSequence;
    },
    get floor() {
      return floor;
    },
    get historyBytes() {
      return historyBytes;
    },
    get commits() {
      return commits;
    },
    get fault() {
      return fault;
    },
    apply(state) {
      const hasGrown = state.lastSequence > lastSequence || state.durableSequence > durableSequence;
      ({ lastSequence, lastTimestampMs, durableSequence, commits, floor, historyBytes } = state);
      fault ??= state.fault;
      for (const { name, row, indexes } of state.collections) {
        if (row === undefined) known.delete(name);
        else remember(row, indexes);
      }
      if (hasGrown) for (const listener of listeners) listener(toSequence(lastSequence));
    },
    fail(reason) {
      fault ??= reason;
    },
    collections: () =>
      [...known.values()].map(({ record }) => record).sort((a, b) => (a.name < b.name ? -1 : 1)),
    collection: (name) => known.get(name)?.record,
    indexes: (name) => known.get(name)?.indexes ?? [],
    onCommit(listener) {
      // A wrapper, so that one function subscribed twice is two subscriptions.
      const own = (sequence: Sequence): void => {
        listener(sequence);
      };
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
  };
}
