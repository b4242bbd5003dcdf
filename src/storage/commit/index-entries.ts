import { createCandidate } from '../query/candidate.ts';
import type { IndexEntry } from '../query/encode.ts';
import type { LiveCollection, LiveIndex } from './catalog.ts';
import { documentOf, type DocumentRow } from './rows.ts';
import type { DocumentStore } from './store.ts';

/** A value that a document now holds in a unique index; to be checked when all is written. */
export interface UniqueValue {
  readonly collection: LiveCollection;
  readonly index: LiveIndex;
  readonly value: Buffer;
  readonly key: string;
}

/** Keeps the entries of the indexes of a collection in step with its documents. */
export interface EntryKeeper {
  /** The entries of a document, one per index in their order. */
  compute(collection: LiveCollection, row: DocumentRow): readonly IndexEntry[];
  drop(collection: LiveCollection, key: string, entries: readonly IndexEntry[]): void;
  /** Replaces the entries `before` by those of the document; returns what must be unique. */
  replace(
    collection: LiveCollection,
    change: { readonly before: readonly IndexEntry[]; readonly document: DocumentRow },
  ): readonly UniqueValue[];
  /** Up to two other documents that hold a value. */
  otherHolders(index: LiveIndex, value: Buffer, key: string): readonly string[];
}

/** Creates the keeper of a writer. */
export function createEntryKeeper(store: DocumentStore): EntryKeeper {
  function compute(collection: LiveCollection, row: DocumentRow): readonly IndexEntry[] {
    const candidate = createCandidate(documentOf(collection.name, row));
    return collection.indexes.map((index) => index.encode(candidate));
  }

  return {
    compute,
    drop(collection, key, entries) {
      collection.indexes.forEach((index, at) => {
        const entry = entries[at];
        if (entry !== undefined) store.removeEntry(index.row.id, entry.key, key);
      });
    },
    replace(collection, { before, document }) {
      if (collection.indexes.length === 0) return [];
      const { key } = document;
      const entries = compute(collection, document);
      return collection.indexes.flatMap((index, at) => {
        const entry = entries[at];
        const old = before[at];
        if (entry === undefined || old?.key.equals(entry.key) === true) return [];
        if (old !== undefined) store.removeEntry(index.row.id, old.key, key);
        store.addEntry(index.row.id, entry.key, key);
        const isGuarded = index.row.is_unique === 1 && index.row.state !== 'failed';
        return isGuarded && !entry.isExempt ? [{ collection, index, value: entry.key, key }] : [];
      });
    },
    otherHolders: (index, value, key) => store.otherHolders(index.row.id, value, key),
  };
}
