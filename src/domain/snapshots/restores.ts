/**
 * Bringing back what was, while the server runs: reads of the past compared with now, and written again
 * under another name. Nothing that is there now is changed.
 */
import { DomainError, hasReason } from '../../errors/domain-error.ts';
import type { Lease, StorageEngine } from '../../storage/engine.ts';
import { MATCH_ALL } from '../../storage/query/filter.ts';
import {
  ALL_KEYS,
  toSequence,
  type CollectionSettings,
  type Sequence,
  type StoredDocument,
} from '../../storage/types.ts';
import { checkCollectionName, checkKey } from '../collections/names.ts';
import { QUERY_BOUNDS, toQueryLimits } from '../quota/query-limits.ts';
import type { OperationContext, Operations, StartedOperation } from './operations.ts';

/** A point of the past. */
export type PastPoint =
  | { readonly kind: 'sequence'; readonly sequence: Sequence }
  /** Unix milliseconds: after the last commit at or before it. */
  | { readonly kind: 'time'; readonly timestampMs: number };

/** How a collection differs between then and now. */
export interface CollectionDifference {
  readonly collection: string;
  readonly existed: boolean;
  readonly exists: boolean;
  /** Were there then, are not now. */
  readonly removed: number;
  /** Are there now, were not then. */
  readonly added: number;
  /** Are there, and were written in between. */
  readonly changed: number;
  readonly sampleKeys: readonly string[];
}

/** What a restore would change. */
export interface RestorePreview {
  readonly sequence: Sequence;
  /** The commit time of the point; undefined when its entry is gone. */
  readonly timestampMs: number | undefined;
  readonly currentSequence: Sequence;
  readonly differences: readonly CollectionDifference[];
}

/** What to bring back. */
export interface RestoreRequest {
  readonly point: PastPoint;
  readonly collection: string;
  readonly target: string;
  /** Empty: all. */
  readonly keys: readonly string[];
}

/** Restores of a running server. */
export interface Restores {
  /** SEQUENCE_COMPACTED or SEQUENCE_IN_FUTURE for a point that cannot be read. */
  preview(
    point: PastPoint,
    collections: readonly string[],
    signal: AbortSignal,
  ): Promise<RestorePreview>;
  /** COLLECTION_NOT_FOUND, COLLECTION_EXISTS, SEQUENCE_COMPACTED or SEQUENCE_IN_FUTURE before it starts. */
  restore(request: RestoreRequest): Promise<StartedOperation<number>>;
}

const PAGE = 500;
const SAMPLES_MAX = 10;

/** Creates the restores of a server. */
export function createRestores(parts: {
  readonly engine: StorageEngine;
  readonly operations: Operations;
}): Restores {
  return new StoreRestores(parts.engine, parts.operations);
}

class StoreRestores implements Restores {
  readonly #engine: StorageEngine;
  readonly #operations: Operations;
  /** Collections that are being written to. */
  readonly #targets = new Set<string>();

  constructor(engine: StorageEngine, operations: Operations) {
    this.#engine = engine;
    this.#operations = operations;
  }

  async preview(
    point: PastPoint,
    collections: readonly string[],
    signal: AbortSignal,
  ): Promise<RestorePreview> {
    const { sequence, timestampMs } = await this.#resolve(point);
    const { sequence: currentSequence } = await this.#engine.head();
    using _pin = this.#pin(sequence);
    const [then, now] = await Promise.all([this.#names(sequence), this.#names(currentSequence)]);
    const names = [...new Set([...then, ...now])].sort();
    const wanted =
      collections.length === 0 ? names : names.filter((one) => collections.includes(one));
    const differences: CollectionDifference[] = [];
    for (const collection of wanted) {
      const counts = await this.#compare(collection, { sequence, currentSequence, signal });
      const [existed, exists] = [then.has(collection), now.has(collection)];
      const isSame = existed === exists && counts.removed + counts.added + counts.changed === 0;
      if (!isSame) differences.push({ collection, existed, exists, ...counts });
    }
    return { sequence, timestampMs, currentSequence, differences };
  }

  async restore(request: RestoreRequest): Promise<StartedOperation<number>> {
    const { collection, target, keys } = request;
    checkCollectionName(collection);
    checkCollectionName(target, 'target');
    for (const key of keys) checkKey(key, 'keys');
    const { sequence } = await this.#resolve(request.point);
    const source = (await this.#engine.collections({ atSequence: sequence })).find(
      ({ name }) => name === collection,
    );
    if (source === undefined) throw notFoundThen(collection, sequence);
    const lease = await this.#take(target);
    try {
      // Not earlier: until now another node may have written to it.
      if (((await this.#engine.findCollection(target))?.documents ?? 0) > 0) throw taken(target);
      const { settings } = source;
      return this.#operations.start('restore', collection, async (context) => {
        using _pin = this.#pin(sequence);
        try {
          return await this.#write({ ...request, sequence, settings, lease }, context);
        } finally {
          await this.#giveBack(target, lease);
        }
      });
    } catch (error) {
      // What was refused is not under way.
      await this.#giveBack(target, lease);
      throw error;
    }
  }

  /** Of all restores on all nodes, one at a time writes to a target: whoever has its lease. */
  async #take(target: string): Promise<Lease> {
    if (this.#targets.has(target)) throw underWay(target);
    this.#targets.add(target);
    try {
      const lease = await this.#engine.lease(`restore ${target}`);
      if (lease === undefined) throw underWay(target);
      return lease;
    } catch (error) {
      this.#targets.delete(target);
      throw error;
    }
  }

  async #giveBack(target: string, lease: Lease): Promise<void> {
    // One that is not given back ends by itself.
    await this.#engine.jobs?.giveBack(lease).catch(() => undefined);
    this.#targets.delete(target);
  }

  /** All of it, or nothing: what was written is taken away when the rest cannot follow. */
  async #write(
    request: RestoreRequest & {
      readonly sequence: Sequence;
      readonly settings: CollectionSettings;
      readonly lease: Lease;
    },
    context: OperationContext,
  ): Promise<number> {
    const { target, settings, lease } = request;
    const existed = (await this.#engine.findCollection(target)) !== undefined;
    await this.#engine.transact({ durability: 'sync', lease }, (transaction) => {
      transaction.createCollection(target, settings);
    });
    try {
      return await this.#copy(request, context);
    } catch (error) {
      // With the lease, also the right to take anything away is lost.
      await this.#engine.transact({ durability: 'sync', lease }, (transaction) => {
        if (existed) transaction.clearCollection(target);
        else transaction.dropCollection(target);
      });
      throw error;
    }
  }

  async #copy(
    { sequence, ...part }: RestoreRequest & { readonly sequence: Sequence; readonly lease: Lease },
    { signal, report }: OperationContext,
  ): Promise<number> {
    report({ phase: 'writing' });
    const between = { from: this.#engine, to: this.#engine };
    return await copyPages(between, { ...part, atSequence: sequence, signal }, (done) => {
      report({ done });
    });
  }

  async #compare(
    collection: string,
    at: {
      readonly sequence: Sequence;
      readonly currentSequence: Sequence;
      readonly signal: AbortSignal;
    },
  ): Promise<Pick<CollectionDifference, 'removed' | 'added' | 'changed' | 'sampleKeys'>> {
    const { signal } = at;
    const then = this.#documents(collection, { atSequence: at.sequence, signal });
    const now = this.#documents(collection, { atSequence: at.currentSequence, signal });
    const counts = { removed: 0, added: 0, changed: 0 };
    const sampleKeys: string[] = [];
    for await (const { key, kind } of differences(then, now)) {
      counts[kind] += 1;
      if (sampleKeys.length < SAMPLES_MAX) sampleKeys.push(key);
    }
    return { ...counts, sampleKeys };
  }

  async *#documents(
    collection: string,
    at: { readonly atSequence: Sequence; readonly signal: AbortSignal },
  ): AsyncIterator<StoredDocument> {
    for await (const page of readPages(this.#engine, collection, { ...at, keys: [] })) yield* page;
  }

  async #names(atSequence: Sequence): Promise<ReadonlySet<string>> {
    const all = await this.#engine.collections({ atSequence });
    return new Set(all.map(({ name }) => name).filter((name) => !name.startsWith('$')));
  }

  async #resolve(
    point: PastPoint,
  ): Promise<{ readonly sequence: Sequence; readonly timestampMs: number | undefined }> {
    const sequence =
      point.kind === 'sequence' ? point.sequence : await this.#engine.sequenceAt(point.timestampMs);
    // Fails here, before anything else, when the point cannot be read.
    await this.#engine.collections({ atSequence: sequence });
    const { epoch } = await this.#engine.head();
    const before = toSequence(sequence === 0n ? 0n : sequence - 1n);
    const entries = await this.#engine
      .readLog({ epoch, sequence: before }, { limit: 1 })
      .catch((error: unknown) => {
        if (hasReason(error, 'SEQUENCE_COMPACTED')) return [];
        throw error;
      });
    const [entry] = entries;
    return { sequence, timestampMs: entry?.sequence === sequence ? entry.timestampMs : undefined };
  }

  #pin(sequence: Sequence): Disposable {
    const unpin = this.#engine.pin(() => sequence);
    return { [Symbol.dispose]: unpin };
  }
}

/**
 * Writes documents of one store into another, under another name. COLLECTION_NOT_FOUND when the one has no
 * such collection, COLLECTION_EXISTS when the other has documents there.
 */
export async function copyDocuments(
  from: StorageEngine,
  to: StorageEngine,
  part: { readonly collection: string; readonly keys: readonly string[]; readonly target: string },
): Promise<number> {
  const { collection, keys, target } = part;
  checkCollectionName(collection);
  checkCollectionName(target, 'target');
  const source = await from.findCollection(collection);
  if (source === undefined) throw notFoundThen(collection, (await from.head()).sequence);
  if (((await to.findCollection(target))?.documents ?? 0) > 0) throw taken(target);
  await to.transact({ durability: 'sync' }, (transaction) => {
    transaction.createCollection(target, source.settings);
  });
  return await copyPages({ from, to }, { collection, keys, target });
}

async function copyPages(
  { from, to }: { readonly from: StorageEngine; readonly to: StorageEngine },
  part: PageOptions & {
    readonly collection: string;
    readonly target: string;
    readonly lease?: Lease;
  },
  onPage: (done: number) => void = () => undefined,
): Promise<number> {
  const { collection, target, lease, signal } = part;
  let done = 0;
  for await (const page of readPages(from, collection, part)) {
    await to.transact({ durability: 'sync', lease, signal }, (transaction) => {
      for (const { key, body, expiresAtMs } of page) {
        transaction.put({ collection: target, key, body, expiresAtMs });
      }
    });
    done += page.length;
    onPage(done);
  }
  return done;
}

interface PageOptions {
  readonly keys: readonly string[];
  readonly atSequence?: Sequence;
  readonly signal?: AbortSignal;
}

async function* readPages(
  engine: StorageEngine,
  collection: string,
  { keys, atSequence, signal }: PageOptions,
): AsyncIterable<readonly StoredDocument[]> {
  const query = {
    ...{ collection, access: ALL_KEYS, keyPrefix: '', filter: MATCH_ALL, joins: [] },
    keys: keys.length === 0 ? undefined : keys,
    order: { by: 'key', direction: 'asc' },
    ...{ projection: undefined, offset: 0, limit: PAGE, total: false },
    limits: toQueryLimits(QUERY_BOUNDS),
  } as const;
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...query, after }, { atSequence, signal });
    yield page.documents;
    if (page.next === undefined) return;
    after = page.next;
  }
}

interface Difference {
  readonly key: string;
  readonly kind: 'removed' | 'added' | 'changed';
}

/** Walks two states side by side, both by key. */
async function* differences(
  then: AsyncIterator<StoredDocument>,
  now: AsyncIterator<StoredDocument>,
): AsyncIterable<Difference> {
  let [old, current] = [await next(then), await next(now)];
  while (old !== undefined || current !== undefined) {
    const order = compareKeys(old, current);
    const difference = differenceOf(old, current, order);
    if (difference !== undefined) yield difference;
    if (order <= 0) old = await next(then);
    if (order >= 0) current = await next(now);
  }
}

function differenceOf(
  old: StoredDocument | undefined,
  current: StoredDocument | undefined,
  order: -1 | 0 | 1,
): Difference | undefined {
  if (order < 0) return { key: old?.key ?? '', kind: 'removed' };
  const key = current?.key ?? '';
  if (order > 0) return { key, kind: 'added' };
  return old?.sequence === current?.sequence ? undefined : { key, kind: 'changed' };
}

async function next(documents: AsyncIterator<StoredDocument>): Promise<StoredDocument | undefined> {
  const step = await documents.next();
  return step.done === true ? undefined : step.value;
}

/** What has ended comes after everything. Keys are ASCII. */
function compareKeys(a: StoredDocument | undefined, b: StoredDocument | undefined): -1 | 0 | 1 {
  if (a === undefined) return 1;
  if (b === undefined || a.key < b.key) return -1;
  return a.key === b.key ? 0 : 1;
}

function notFoundThen(collection: string, sequence: Sequence): DomainError {
  return new DomainError(
    'COLLECTION_NOT_FOUND',
    `collection '${collection}' did not exist at sequence ${sequence.toString()}`,
    { metadata: { collection, sequence: sequence.toString() } },
  );
}

function underWay(target: string): DomainError {
  return new DomainError(
    'COLLECTION_EXISTS',
    `a restore into collection '${target}' is under way, on this node or another; choose another target, or wait for its end`,
    { metadata: { collection: target } },
  );
}

function taken(target: string): DomainError {
  return new DomainError(
    'COLLECTION_EXISTS',
    `collection '${target}' has documents; choose another target, so that nothing is mixed`,
    { metadata: { collection: target } },
  );
}
