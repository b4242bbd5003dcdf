import { DomainError } from '../../errors/domain-error.ts';
import type {
  DocumentReader,
  FollowedChange,
  StorageEngine,
  Transaction,
} from '../../storage/engine.ts';
import { MATCH_ALL } from '../../storage/query/filter.ts';
import { encodePosition } from '../../storage/query/position.ts';
import { ALL_KEYS, type Durability, type StoredDocument } from '../../storage/types.ts';

/**
 * A small collection of the system, held in memory whole, because every call asks for it: users, roles,
 * API keys. Changes are durable before they are seen, unless they ask for less.
 */
export interface Records<T> {
  readonly size: number;
  /** Goes up with every change. */
  readonly revision: number;
  get(key: string): T | undefined;
  /** The same; one that is not known here is looked for, as another node may just have made it. ENGINE_UNAVAILABLE. */
  find(key: string): Promise<T | undefined>;
  entries(): IterableIterator<[string, T]>;
  /**
   * Replaces a record by what `body` makes of it; undefined deletes it, and the very same changes nothing.
   * `body` may run again when another change came first, and what it throws leaves everything as it was.
   */
  change(
    key: string,
    body: (current: T | undefined) => T | undefined,
    options?: ChangeOptions<T>,
  ): Promise<T | undefined>;
  /** A record as it is stored, whatever is known in memory. */
  read(reader: DocumentReader, key: string): Promise<T | undefined>;
}

/** How a record is changed. */
export interface ChangeOptions<T> {
  /** `sync` unless told otherwise. */
  readonly durability?: Durability;
  /** Throws to refuse the change. What it reads must still be so when the change commits, else it runs again. */
  readonly confirm?: ((change: Change<T>, reader: DocumentReader) => Promise<void>) | undefined;
}

/** A record before and after. */
export interface Change<T> {
  readonly current: T | undefined;
  readonly next: T | undefined;
}

/** What a collection of records is. */
export interface RecordsOptions {
  readonly engine: StorageEngine;
  /** Starts with `$`. */
  readonly collection: string;
  /** More are refused with QUOTA_EXCEEDED. */
  readonly recordsMax: number;
}

/** When a change was made, and whether a crash of the store can take it back. */
interface Made {
  readonly sequence: bigint;
  readonly isDurable: boolean;
}

const PAGE = 1000;

/** Reads all records of a collection that was written by `change` alone. */
export async function openRecords<T extends object>(options: RecordsOptions): Promise<Records<T>> {
  const { engine, collection } = options;
  const records = new Map<string, T>();
  const sequences = new Map<string, bigint>();
  let revision = 0;

  function publish(key: string, record: T | undefined, { sequence, isDurable }: Made): void {
    // Two changes may be told in another order than they were made in.
    if ((sequences.get(key) ?? 0n) > sequence) return;
    // The sequence of a change that is lost is given to another one, which must not be taken for older.
    if (isDurable) sequences.set(key, sequence);
    revision += 1;
    if (record === undefined) records.delete(key);
    else records.set(key, record);
  }

  function take(
    { key, body, sequence }: Pick<FollowedChange, 'key' | 'body' | 'sequence'>,
    isDurable: boolean,
  ): void {
    const record = body === undefined ? undefined : (JSON.parse(body) as T);
    publish(key, record, { sequence, isDurable });
  }

  async function read(): Promise<void> {
    const { sequence } = await engine.head();
    const gone = new Set(records.keys());
    for await (const document of readAll(engine, collection)) {
      gone.delete(document.key);
      take(document, document.sequence <= engine.health().durableSequence);
    }
    // One that came meanwhile is newer than this.
    for (const key of gone) publish(key, undefined, { sequence, isDurable: false });
  }

  // First, so that nothing is missed between what is read and what is told.
  engine.follow(collection, {
    told: (change) => {
      take(change, true);
    },
    missed: read,
  });
  await read();

  return {
    get size() {
      return records.size;
    },
    get revision() {
      return revision;
    },
    get: (key) => records.get(key),
    async find(key) {
      if (!records.has(key)) await engine.catchUp();
      return records.get(key);
    },
    entries: () => records.entries(),
    async read(reader, key) {
      const [stored] = await reader.get(collection, [key]);
      return stored && (JSON.parse(stored.body) as T);
    },
    async change(key, body, { durability = 'sync', confirm } = {}) {
      const replacement = { collection, key, body, confirm };
      const committed = await engine.transact({ durability }, (transaction) =>
        replace(transaction, replacement, () => {
          checkRoom(records.size, options);
        }),
      );
      const { next, isChanged } = committed.value;
      const { sequence } = committed;
      if (isChanged) publish(key, next, { sequence, isDurable: durability === 'sync' });
      return next;
    },
  };
}

/** How one record becomes another. */
interface Replacement<T> {
  readonly collection: string;
  readonly key: string;
  readonly body: (current: T | undefined) => T | undefined;
  readonly confirm: ChangeOptions<T>['confirm'];
}

/** Writes what a record becomes; `demandRoom` refuses one more. */
async function replace<T extends object>(
  transaction: Transaction,
  { collection, key, body, confirm }: Replacement<T>,
  demandRoom: () => void,
): Promise<{ readonly next: T | undefined; readonly isChanged: boolean }> {
  const [stored] = await transaction.get(collection, [key]);
  const current = stored && (JSON.parse(stored.body) as T);
  const next = body(current);
  if (next === current) return { next, isChanged: false };
  await confirm?.({ current, next }, transaction);
  if (next === undefined) {
    transaction.delete({ collection, key });
  } else {
    if (stored === undefined) demandRoom();
    transaction.put({ collection, key, body: JSON.stringify(next) });
  }
  return { next, isChanged: true };
}

/** Which documents of a system collection are read. */
export interface ReadRange {
  /** Only keys that start with this. Absent: every key. */
  readonly keyPrefix?: string;
  /** Only keys after this one. Absent or empty: from the first. */
  readonly after?: string;
  /** Documents read at once. */
  readonly pageSize?: number;
}

/** Every document of a system collection in a range, in the order of keys. */
export async function* readAll(
  engine: StorageEngine,
  collection: string,
  { keyPrefix = '', after: afterKey = '', pageSize: limit = PAGE }: ReadRange = {},
): AsyncIterable<StoredDocument> {
  const place = { values: [], key: afterKey };
  let after = afterKey > keyPrefix ? encodePosition(BY_KEY, place) : undefined;
  for (;;) {
    const selection = { ...EVERY_DOCUMENT, collection, keyPrefix };
    const page = await engine.query({ ...selection, ...AS_STORED, limit, after });
    yield* page.documents;
    if (page.next === undefined) return;
    after = page.next;
  }
}

/** How many documents of a system collection have keys that start with a prefix. */
export async function countAll(
  engine: StorageEngine,
  collection: string,
  keyPrefix: string,
): Promise<number> {
  const { groups } = await engine.aggregate({
    ...{ ...EVERY_DOCUMENT, collection, keyPrefix, groupBy: [], groupsMax: 1 },
    metrics: [{ name: 'count', kind: 'count', path: undefined }],
  });
  return Number(groups[0]?.figures['count'] ?? 0);
}

const BY_KEY = { by: 'key', direction: 'asc' } as const;

const EVERY_DOCUMENT = {
  ...{ access: ALL_KEYS, keys: undefined, filter: MATCH_ALL, joins: [] },
  limits: {
    ...{ examinedMax: Infinity, sortedMax: Infinity, timeMs: Infinity },
    ...{ memoryBytesMax: Infinity, pageBytesMax: Infinity },
  },
} as const;

const AS_STORED = { order: BY_KEY, projection: undefined, offset: 0, total: false } as const;

function checkRoom(size: number, { collection, recordsMax }: RecordsOptions): void {
  if (size < recordsMax) return;
  const name = collection.slice(1);
  throw new DomainError(
    'QUOTA_EXCEEDED',
    `there are ${String(size)} ${name} already; the limit is ${String(recordsMax)}: delete some first`,
  );
}
