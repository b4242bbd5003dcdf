import { LRUCache } from 'lru-cache';

import type { StoredDocument } from '../types.ts';

/** Documents recently read by key, bounded in bytes. Knows nothing of time: callers check expiry. */
export interface DocumentCache {
  get(collection: string, key: string): StoredDocument | undefined;
  set(document: StoredDocument): void;
  delete(collection: string, key: string): void;
  /** Forgets everything, after a change that is not about single documents. */
  clear(): void;
  /** How often `get` found something, and how often nothing. */
  readonly hits: number;
  readonly misses: number;
  /** What it holds, by its own reckoning, which never exceeds the bound. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly documents: number;
}

/** What a cached document costs besides its body. */
const DOCUMENT_BYTES = 512;

/** Bounds of a cache; 0 of either caches nothing. */
export interface CacheBounds {
  readonly bytesMax: number;
  /** Undefined: as many as fit. */
  readonly documentsMax: number | undefined;
}

/** Creates an empty cache that holds the documents used last. */
export function createDocumentCache({ bytesMax, documentsMax }: CacheBounds): DocumentCache {
  if (bytesMax === 0 || documentsMax === 0) {
    const nothing = (): undefined => undefined;
    return {
      ...{ get: nothing, set: nothing, delete: nothing, clear: nothing, hits: 0, misses: 0 },
      ...{ bytes: 0, bytesMax: 0, documents: 0 },
    };
  }
  // A count is memory reserved at once: one that the bytes never let come true is none.
  const isCounted = documentsMax !== undefined && documentsMax < bytesMax / DOCUMENT_BYTES;
  let hits = 0;
  let misses = 0;
  const cache = new LRUCache<string, StoredDocument>({
    ...{ maxSize: bytesMax, ...(isCounted ? { max: documentsMax } : {}) },
    maxEntrySize: Math.ceil(bytesMax / 8),
    // A character takes up to two bytes.
    sizeCalculation: ({ body, key }) => DOCUMENT_BYTES + 2 * (body.length + key.length),
  });
  return {
    get(collection, key) {
      const found = cache.get(nameOf(collection, key));
      if (found === undefined) misses += 1;
      else hits += 1;
      return found;
    },
    get hits() {
      return hits;
    },
    get misses() {
      return misses;
    },
    get bytes() {
      return cache.calculatedSize;
    },
    bytesMax,
    get documents() {
      return cache.size;
    },
    set(document) {
      cache.set(nameOf(document.collection, document.key), document);
    },
    delete(collection, key) {
      cache.delete(nameOf(collection, key));
    },
    clear() {
      cache.clear();
    },
  };
}

/** Collection names hold no slash. */
function nameOf(collection: string, key: string): string {
  return `${collection}/${key}`;
}
