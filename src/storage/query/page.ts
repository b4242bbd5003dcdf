import type { StoredDocument } from '../types.ts';
import type { Candidate } from './candidate.ts';
import type { SortKey } from './order.ts';
import { encodePosition } from './position.ts';
import { compileShown } from './project.ts';
import type { FoundDocument, Order, Query } from './query.ts';

/** A page while it fills. */
export interface Page {
  /** Takes the next row; false when the page is full, and the row opens the next one. */
  add(document: StoredDocument, place: SortKey): boolean;
  readonly documents: readonly FoundDocument[];
  /** Where the next page starts; undefined as long as no row was turned away. */
  next(): string | undefined;
}

/**
 * Creates a page of at most `query.limit` rows, that ends early once its bodies pass
 * `query.limits.pageBytesMax` bytes of UTF-8; it holds at least one row when there is one.
 */
export function createPage(
  query: Query,
  order: Order,
  wrap: (document: StoredDocument) => Candidate,
): Page {
  const show = compileShown(query.projection, query.joins, query.hidden);
  const documents: FoundDocument[] = [];
  let bytes = 0;
  let last: SortKey | undefined;
  let isFull = false;
  return {
    documents,
    next: () => (isFull && last !== undefined ? encodePosition(order, last) : undefined),
    add(document, place) {
      if (documents.length >= query.limit || bytes > query.limits.pageBytesMax) {
        isFull = true;
        return false;
      }
      const shown = show(wrap(document));
      bytes += Buffer.byteLength(shown.body);
      documents.push(shown);
      last = place;
      return true;
    },
  };
}
