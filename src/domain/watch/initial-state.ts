import type { StorageEngine } from '../../storage/engine.ts';
import { ALL_KEYS, type Sequence, type StoredDocument } from '../../storage/types.ts';
import { QUERY_BOUNDS, toQueryLimits } from '../quota/query-limits.ts';
import type { CompiledTarget, Interest } from './interest.ts';

const PAGE_DOCUMENTS = 500;

/**
 * The documents that concern a watcher, as they were right after a sequence, a page at a time. A
 * document that several targets name comes once: with the first of them.
 */
export async function* readInitialState(
  engine: StorageEngine,
  interest: Interest,
  options: ReadAt,
): AsyncIterable<readonly StoredDocument[]> {
  for (const [at, target] of interest.targets.entries()) {
    const earlier = interest.targets.slice(0, at);
    for await (const page of readTarget(engine, target, { ...options, interest })) {
      const fresh = page.filter(
        (one) => interest.mayShow(one) && !earlier.some((other) => interest.covers(other, one)),
      );
      if (fresh.length > 0) yield fresh;
    }
  }
}

async function* readTarget(
  engine: StorageEngine,
  target: CompiledTarget,
  options: ReadBy,
): AsyncIterable<readonly StoredDocument[]> {
  for (const collection of await collectionsOf(engine, target)) {
    yield* readCollection(engine, { ...target, collection }, options);
  }
}

interface ReadAt {
  readonly atSequence: Sequence;
  readonly signal: AbortSignal;
}

interface ReadBy extends ReadAt {
  readonly interest: Interest;
}

async function collectionsOf(
  engine: StorageEngine,
  { collection }: CompiledTarget,
): Promise<readonly string[]> {
  if (collection !== '') return [collection];
  const all = await engine.collections();
  return all.map(({ name }) => name).filter((name) => !name.startsWith('$'));
}

async function* readCollection(
  engine: StorageEngine,
  { collection, keys, keyPrefix, filter }: CompiledTarget,
  { atSequence, signal, interest }: ReadBy,
): AsyncIterable<readonly StoredDocument[]> {
  const query = {
    ...{ collection, access: ALL_KEYS, keyPrefix, filter, joins: [] },
    keys: keys.size === 0 ? undefined : [...keys],
    order: { by: 'key', direction: 'asc' },
    ...{ projection: undefined, offset: 0, limit: PAGE_DOCUMENTS, total: false },
    limits: toQueryLimits(QUERY_BOUNDS),
    // What cannot be seen does not say where a page ends either.
    hidden: interest.visibility(collection).hidden,
  } as const;
  for (let after: string | undefined; ;) {
    const page = await engine.query({ ...query, after }, { atSequence, signal });
    yield page.documents;
    if (page.next === undefined) return;
    after = page.next;
  }
}
