import type { Filter } from '../../src/storage/query/filter.ts';
import { MATCH_ALL } from '../../src/storage/query/filter.ts';
import type { Query, Selection } from '../../src/storage/query/query.ts';
import type { StorageEngine, WriteResult } from '../../src/storage/engine.ts';
import {
  ALL_KEYS,
  toSequence,
  type IndexRecord,
  type IndexSpec,
  type Json,
  type LogEntry,
  type Precondition,
  type StoredDocument,
} from '../../src/storage/types.ts';
import { delay } from '../../src/platform/timers.ts';
import { createManualClock, type ManualClock } from '../support/manual-clock.ts';
import type { ContractSubject, OpenStore } from './storage-contract.ts';

/** A store for one test. */
export interface Store extends OpenStore, AsyncDisposable {
  readonly clock: ManualClock;
  /** Closes the store and opens it again. */
  reopen(): Promise<StorageEngine>;
}

/** Opens an empty store that is closed when the test ends. */
export async function openStore(subject: ContractSubject): Promise<Store> {
  const clock = createManualClock();
  const { engine, place } = await subject.open({ clock });
  let current = engine;
  return {
    engine,
    place,
    clock,
    async reopen() {
      await current.close();
      ({ engine: current } = await subject.open({ clock, place }));
      return current;
    },
    async [Symbol.asyncDispose]() {
      await current.close();
    },
  };
}

/** A put with all it may carry; into `things` unless told otherwise. */
export interface PutOptions {
  readonly key: string;
  readonly body: Json;
  readonly collection?: string;
  readonly expiresAtMs?: number;
  readonly precondition?: Precondition;
}

/** Puts one document of `things` durably. */
export function put(engine: StorageEngine, key: string, body: Json): Promise<WriteResult> {
  return putWith(engine, { key, body });
}

/** Puts one document durably. */
export async function putWith(engine: StorageEngine, options: PutOptions): Promise<WriteResult> {
  const { writes } = await engine.transact({ durability: 'sync' }, (transaction) => {
    const body = JSON.stringify(options.body);
    transaction.put({ collection: 'things', ...options, body });
  });
  const [write] = writes;
  if (write === undefined) throw new Error('a put has one result');
  return write;
}

/** Deletes one document durably. */
export async function remove(
  engine: StorageEngine,
  key: string,
  precondition?: Precondition,
): Promise<WriteResult> {
  const { writes } = await engine.transact({ durability: 'sync' }, (transaction) => {
    transaction.delete({ collection: 'things', key, precondition });
  });
  const [write] = writes;
  if (write === undefined) throw new Error('a delete has one result');
  return write;
}

/** One document of `things`. */
export async function read(
  engine: StorageEngine,
  key: string,
): Promise<StoredDocument | undefined> {
  const [document] = await engine.get('things', [key]);
  return document;
}

/** The parsed body of one document of `things`. */
export async function bodyOf(engine: StorageEngine, key: string): Promise<unknown> {
  const document = await read(engine, key);
  return document && JSON.parse(document.body);
}

/** Everything of `things`. */
export const SELECTION: Selection = {
  collection: 'things',
  access: ALL_KEYS,
  keys: undefined,
  keyPrefix: '',
  filter: MATCH_ALL,
  joins: [],
  limits: {
    examinedMax: 1e6,
    sortedMax: 1e6,
    timeMs: 30_000,
    memoryBytesMax: 1e9,
    pageBytesMax: 1e9,
  },
};

/** Everything of `things`, by key. */
export const QUERY: Query = {
  ...SELECTION,
  order: { by: 'key', direction: 'asc' },
  projection: undefined,
  offset: 0,
  limit: 10_000,
  after: undefined,
  total: false,
};

/** The keys a query finds. */
export async function keysOf(
  engine: StorageEngine,
  query: Partial<Query> = {},
  atSequence?: bigint,
): Promise<readonly string[]> {
  const options = atSequence === undefined ? {} : { atSequence: toSequence(atSequence) };
  const page = await engine.query({ ...QUERY, ...query }, options);
  return page.documents.map(({ key }) => key);
}

/** A condition on one field. */
export function field(path: string, op: 'eq' | 'gt' | 'gte' | 'lt' | 'lte', value: Json): Filter {
  return { kind: 'compare', path: path.split('.'), op, value };
}

/** An index over `things`. */
export function indexSpec(name: string, paths: readonly string[], unique = false): IndexSpec {
  const fields = paths.map((path) => ({ path, direction: 'asc' as const }));
  return { collection: 'things', name, fields, unique };
}

/** Waits until an index is no longer being built. */
export async function builtIndex(
  engine: StorageEngine,
  name: string,
  collection = 'things',
): Promise<IndexRecord> {
  for (;;) {
    const index = (await engine.indexes(collection)).find((one) => one.name === name);
    if (index === undefined) throw new Error(`there is no index ${name}`);
    if (index.state !== 'building') return index;
    await delay(1);
  }
}

/** The whole log. */
export async function logOf(engine: StorageEngine): Promise<readonly LogEntry[]> {
  const { epoch } = await engine.head();
  const entries: LogEntry[] = [];
  for (;;) {
    const sequence = entries.at(-1)?.sequence ?? toSequence(0);
    const more = await engine.readLog({ epoch, sequence }, { limit: 100_000 });
    if (more.length === 0) return entries;
    for (const entry of more) entries.push(entry);
  }
}

/** The reason an operation fails with; undefined when it does not fail. */
export async function reasonOf(operation: Promise<unknown>): Promise<string | undefined> {
  try {
    await operation;
    return undefined;
  } catch (error) {
    return error instanceof Error && 'reason' in error ? String(error.reason) : String(error);
  }
}
