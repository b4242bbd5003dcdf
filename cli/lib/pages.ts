/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Empty: the last page. */
  readonly nextPageToken: string;
}

/** The most that the server gives at once. */
export const PAGE_SIZE = 1000;

/** Reads a list to its end, page by page. */
export async function collectPages<T>(read: (pageToken: string) => Promise<Page<T>>): Promise<T[]> {
  const found: T[] = [];
  let pageToken = '';
  do {
    const { items, nextPageToken } = await read(pageToken);
    found.push(...items);
    pageToken = nextPageToken;
  } while (pageToken !== '');
  return found;
}
