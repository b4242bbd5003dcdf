/** Items of a page that asks for no number. */
const PAGE_SIZE = 100;

/** How many items a page has at most; 0 asks for the default of 100. */
export function pageLimit(pageSize: number): number {
  return pageSize === 0 ? PAGE_SIZE : pageSize;
}

/** Some items of a list, and where to go on. */
export interface Page<T> {
  readonly items: readonly T[];
  /** The name of the last item; empty when there are no more. */
  readonly nextPageToken: string;
}

/** The first items of what is left of a list; the next page is asked for by the name of its last. */
export function firstPage<T>(
  rest: readonly T[],
  pageSize: number,
  nameOf: (item: T) => string,
): Page<T> {
  const items = rest.slice(0, pageLimit(pageSize));
  const last = items.at(-1);
  const hasMore = last !== undefined && items.length < rest.length;
  return { items, nextPageToken: hasMore ? nameOf(last) : '' };
}
