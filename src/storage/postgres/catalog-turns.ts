import type { DomainError } from '../../errors/domain-error.ts';
import { indexExists, indexNotFound, collectionNotFound } from '../commit/refusals.ts';
import type { IndexRow } from '../commit/rows.ts';
import type { Lease } from '../engine.ts';
import type { IndexSpec } from '../types.ts';
import { NOW_MS, type ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';
import { closeBench, openBench, type Bench } from './group.ts';
import { holdLeases } from './lease.ts';
import { loadNeeds } from './load.ts';
import type { Turn } from './log-turn.ts';
import type { WorkingSet } from './working-set.ts';

/** A turn over the one collection that is named; `work` throws to refuse. */
function catalogTurn<T>(
  collection: string,
  nowMs: number,
  work: (bench: Bench) => T,
): Turn<(set: WorkingSet) => void, T> {
  return {
    isSync: true,
    load: (connection) =>
      loadNeeds(connection, { collections: [collection], documents: [], requests: [] }),
    decide(_, { clock, loaded: fill }) {
      const bench = openBench(clock, { fill, nowMs });
      const result = work(bench);
      return Promise.resolve({ result, commit: closeBench(bench, clock) });
    },
  };
}

/** Declares an index. COLLECTION_NOT_FOUND, INDEX_EXISTS. */
export function createIndexTurn(
  spec: IndexSpec,
  nowMs: number,
): Turn<(set: WorkingSet) => void, IndexRow> {
  return catalogTurn(spec.collection, nowMs, ({ catalog }) => {
    const collection = catalog.find(spec.collection);
    if (collection === undefined) throw collectionNotFound(spec.collection);
    if (collection.indexes.some(({ row }) => row.name === spec.name)) throw indexExists(spec);
    return catalog.addIndex(collection, spec, nowMs);
  });
}

/** Drops an index. INDEX_NOT_FOUND. */
export function dropIndexTurn(
  target: { readonly collection: string; readonly name: string },
  nowMs: number,
): Turn<(set: WorkingSet) => void, undefined> {
  return catalogTurn(target.collection, nowMs, ({ catalog }) => {
    const collection = catalog.find(target.collection);
    const index = collection?.indexes.find(({ row }) => row.name === target.name);
    if (collection === undefined || index === undefined) throw indexNotFound(target);
    catalog.dropIndex(collection, index);
    return undefined;
  });
}

/**
 * Makes everything committed durable, and answers up to where: a commit that waits for the disk takes along
 * those before it.
 */
export function flushTurn(): Turn<undefined, number> {
  return {
    isSync: true,
    load: () => Promise.resolve(undefined),
    decide: (_, { clock }) => {
      const isDone = clock.durable_seq >= clock.seq;
      const commit = isDone ? undefined : { clock, statements: [] };
      return Promise.resolve({ result: clock.seq, commit });
    },
  };
}

const FIRST_OF = 'SELECT first FROM ver WHERE seq = $1';
const TIME_OF = 'SELECT ts FROM ver WHERE seq <= $1 ORDER BY seq DESC LIMIT 1';
/** Nodes that were heard of lately, by the clock of the database. */
const PINNED = `SELECT min(pinned) AS pinned FROM node
  WHERE seen_at > ${NOW_MS} - 30000`;

/**
 * Raises the floor as far as other nodes, whole commits and the last entry let it; the last entry stays,
 * for the next one is numbered after it. Answers the floor.
 */
export function compactTurn(
  asked: number,
  lease?: Lease,
): Turn<{ readonly pinned: number | null; readonly lost: DomainError | undefined }, ClockRow> {
  return {
    isSync: false,
    load: async (connection) => {
      const [[row], lost] = await Promise.all([
        connection.rows<{ pinned: number | null }>(PINNED),
        holdLeases(connection, lease === undefined ? [] : [lease]),
      ]);
      return { pinned: row?.pinned ?? null, lost: lost(lease) };
    },
    async decide(connection, { clock, loaded: { pinned, lost } }) {
      if (lost !== undefined) throw lost;
      const most = Math.min(asked, clock.seq - 1, pinned ?? asked);
      const floor = await wholeCommit(connection, most);
      if (floor <= clock.floor) return { result: clock, commit: undefined };
      const [row] = await connection.rows<{ ts: number }>(TIME_OF, [floor]);
      const next = { ...clock, floor, floor_at: row?.ts ?? 0, has_work: true };
      return { result: next, commit: { clock: next, statements: [] } };
    },
  };
}

/** The end of the last commit that is whole at a sequence. */
async function wholeCommit(connection: Connection, sequence: number): Promise<number> {
  const [row] = await connection.rows<{ first: number }>(FIRST_OF, [sequence + 1]);
  return row !== undefined && row.first <= sequence ? row.first - 1 : sequence;
}
