import { DomainError } from '../../errors/domain-error.ts';
import type { FollowedChange, StorageEngine } from '../../storage/engine.ts';
import { MATCH_ALL } from '../../storage/query/filter.ts';
import { ALL_KEYS, type StoredDocument } from '../../storage/types.ts';

/**
 * A small collection of the system, held in memory whole, because every call asks for it: users, roles,
 * API keys. Changes are durable before they are seen.
 */
export interface Records<T> {
  readonly size: number;
  /** Goes up with every change. */
  readonly revision: number;
  get(key: string): T | undefined;
  entries(): IterableIterator<[string, T]>;
  /**
   * Replaces a record by what `body` makes of it; undefined deletes it. `body` may run again when another
   * change came first, and what it throws leaves everything as it was.
   */
  change(key: string, body: (current: T | undefined) => T | undefined): Promise<T | undefined>;
}

/** What a collection of records is. */
export interface RecordsOptions {
  readonly engine: StorageEngine;
  /** Starts with `$`. */
  readonly collection: string;
  /** More are refused with QUOTA_EXCEEDED. */
  readonly recordsMax: number;
}

const PAGE = 1000;

/** Reads all records of a collection that was written by `change` alone. */
export async function openRecords<T extends object>(options: RecordsOptions): Promise<Records<T>> {
  const { engine, collection } = options;
  const records = new Map<string, T>();
  const sequences = new Map<string, bigint>();
  let revision = 0;

  function publish(key: string, record: T | undefined, sequence: bigint): void {
    // Two changes may be told in another order than they were made in.
    if ((sequences.get(key) ?? 0n) > sequence) return;
    sequences.set(key, sequence);
    revision += 1;
    if (record === undefined) records.delete(key);
    else records.set(key, record);
  }

  function take({ key, body, sequence }: Pick<FollowedChange, 'key' | 'body' | 'sequence'>): void {
    publish(key, body === undefined ? undefined : (JSON.parse(body) as T), sequence);
  }

  // First, so that nothing is missed between what is read and what is told.
  engine.follow(collection, take);
  for await (const document of readAll(engine, collection)) take(document);

  return {
    get size() {
      return records.size;
    },
    get revision() {
      return revision;
    },
    get: (key) => records.get(key),
    entries: () => records.entries(),
    async change(key, body) {
      const committed = await engine.transact({ durability: 'sync' }, async (transaction) => {
        const [stored] = await transaction.get(collection, [key]);
        const next = body(stored && (JSON.parse(stored.body) as T));
        if (next !== undefined) {
          if (stored === undefined) checkRoom(records.size, options);
          transaction.put({ collection, key, body: JSON.stringify(next) });
        } else if (stored !== undefined) {
          transaction.delete({ collection, key });
        }
        return { next };
      });
      const { next } = committed.value;
      publish(key, next, committed.sequence);
      return next;
    },
  };
}

/** Every document of a system collection whose key starts with a prefix, in the order of keys. */
export async function* readAll(
  engine: StorageEngine,
  collection: string,
  keyPrefix = '',
): AsyncIterable<StoredDocument> {
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...WHOLE, collection, keyPrefix, after });
    yield* page.documents;
    if (page.next === undefined) return;
    after = page.next;
  }
}

const WHOLE = {
  access: ALL_KEYS,
  ...{ keys: undefined, filter: MATCH_ALL, joins: [] },
  limits: { examinedMax: Infinity, sortedMax: Infinity, timeMs: Infinity, pageBytesMax: Infinity },
  order: { by: 'key', direction: 'asc' },
  ...{ projection: undefined, offset: 0, limit: PAGE, total: false },
} as const;

function checkRoom(size: number, { collection, recordsMax }: RecordsOptions): void {
  if (size < recordsMax) return;
  const name = collection.slice(1);
  throw new DomainError(
    'QUOTA_EXCEEDED',
    `there are ${String(size)} ${name} already; the limit is ${String(recordsMax)}`,
  );
}
