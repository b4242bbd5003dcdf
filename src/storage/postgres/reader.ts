/**
 * Reads of a node. A read of keys is one statement; whatever may take more is a snapshot of the database,
 * walked in batches. The shared executor decides what matches, as for every engine.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ReadOptions } from '../engine.ts';
import {
  createAggregationRun,
  createQueryRun,
  type RunContext,
  type StopCause,
} from '../query/execute.ts';
import { isExpired, joinedBy } from '../query/join.ts';
import { describePlan, planWithRemoteProbes, type Plan } from '../query/plan.ts';
import type {
  Aggregation,
  AggregationResult,
  Join,
  Order,
  Query,
  QueryPage,
  QueryPlan,
  Selection,
} from '../query/query.ts';
import { toSequence, type StoredDocument } from '../types.ts';
import { documentOf, type DocumentRow } from '../commit/rows.ts';
import type { ConnectionPool } from './connections.ts';
import { translate } from './errors.ts';
import { inSnapshot } from './snapshot.ts';
import { IS_LIVE } from './source.ts';
import { openView, type View } from './view.ts';

/** Reads documents. */
export interface Reader {
  get(
    collection: string,
    keys: readonly string[],
    options: ReadOptions,
  ): Promise<readonly (StoredDocument | undefined)[]>;
  query(query: Query, options: ReadOptions): Promise<QueryPage>;
  aggregate(aggregation: Aggregation, options: ReadOptions): Promise<AggregationResult>;
  explain(query: Query, options: ReadOptions): Promise<QueryPlan>;
}

/** Creates the reader of a node. */
export function createReader(pool: ConnectionPool, clock: Clock): Reader {
  return new PooledReader(pool, clock);
}

interface ReadRequest {
  readonly selection: Selection;
  readonly order?: Order;
  readonly after?: string | undefined;
  readonly wantsAll: boolean;
}

/** One read over the candidates of a plan. */
interface Run<T> {
  push(document: StoredDocument): boolean;
  kept(): readonly StoredDocument[];
  finish(): T;
}

const GET = `SELECT v.key, v.seq, v.version, v.created_seq, v.created_at, v.ts, v.expires_at, v.body
  FROM collection c JOIN head h ON h.collection = c.id AND h.key = ANY($2::text[])
  JOIN ver v ON v.seq = h.seq
  WHERE c.name = $1 AND c.retired IS NULL AND ${IS_LIVE}`;

class PooledReader implements Reader {
  readonly #pool: ConnectionPool;
  readonly #clock: Clock;

  constructor(pool: ConnectionPool, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  async get(
    collection: string,
    keys: readonly string[],
    { atSequence, signal }: ReadOptions,
  ): Promise<readonly (StoredDocument | undefined)[]> {
    const nowMs = this.#clock.now();
    if (atSequence === undefined) {
      const rows = await this.#read(signal, () =>
        this.#pool.use((connection) => connection.rows<DocumentRow>(GET, [collection, keys])),
      );
      return inOrder(
        keys,
        rows.map((row) => documentOf(collection, row)),
        nowMs,
      );
    }
    return await this.#read(signal, () =>
      inSnapshot(this.#pool, async (snapshot) => {
        const view = await openView(snapshot, { atSequence, nowMs });
        return inOrder(keys, await view.lookup(collection, keys), view.nowMs);
      }),
    );
  }

  async query(query: Query, options: ReadOptions): Promise<QueryPage> {
    return (await this.#find(query, options)).page;
  }

  async aggregate(aggregation: Aggregation, options: ReadOptions): Promise<AggregationResult> {
    const request = { selection: aggregation, wantsAll: true };
    const { result } = await this.#run(request, options, (context) => {
      const run = createAggregationRun(aggregation, context);
      return {
        push(document) {
          run.push(document);
          return true;
        },
        kept: () => [],
        finish: () => run.finish(),
      };
    });
    return result;
  }

  async explain(query: Query, options: ReadOptions): Promise<QueryPlan> {
    const { page, plan } = await this.#find(query, options);
    return describePlan(plan, page.cost);
  }

  async #find(
    query: Query,
    options: ReadOptions,
  ): Promise<{ readonly page: QueryPage; readonly plan: Plan }> {
    const { order, after, total: wantsAll } = query;
    const request = { selection: query, order, after, wantsAll };
    const { result, plan } = await this.#run(request, options, (context) =>
      createQueryRun(query, context),
    );
    return { page: result, plan };
  }

  async #run<T>(
    request: ReadRequest,
    { atSequence, signal }: ReadOptions,
    start: (context: RunContext) => Run<T>,
  ): Promise<{ readonly result: T; readonly plan: Plan }> {
    const startMs = this.#clock.monotonic();
    const nowMs = this.#clock.now();
    return await this.#read(signal, () =>
      inSnapshot(this.#pool, async (snapshot) => {
        const view = await openView(snapshot, { atSequence, nowMs });
        const plan = await planIn(view, request);
        const joined = createJoined(view, request.selection.joins);
        const elapsedMs = (): number => this.#clock.monotonic() - startMs;
        const run = start({
          ...{ plan, lookup: joined.lookup, nowMs: view.nowMs, elapsedMs },
          sequence: toSequence(view.sequence),
          shouldStop: (): StopCause | undefined => {
            if (signal?.aborted === true) return 'aborted';
            return elapsedMs() > request.selection.limits.timeMs ? 'timeout' : undefined;
          },
        });
        await pushAll(view.candidates(request.selection.collection, plan.access), run, {
          ...{ joined, signal },
        });
        await joined.load(run.kept());
        return { result: run.finish(), plan };
      }),
    );
  }

  async #read<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    assertNotAborted(signal);
    try {
      return await work();
    } catch (error) {
      throw translate(error);
    }
  }
}

function planIn(view: View, request: ReadRequest): Promise<Plan> {
  const { selection, order, after, wantsAll } = request;
  const { collection } = selection;
  const { canScanByInsertion } = view;
  const plan = async (): Promise<Plan> =>
    await planWithRemoteProbes(
      {
        ...{ selection, order, after, wantsAll, unordered: [], canScanByInsertion },
        indexes: await view.indexes(collection),
      },
      (index, ranges) => view.hasEntry(collection, index, ranges),
    );
  return plan();
}

async function pushAll(
  batches: AsyncIterable<readonly StoredDocument[]>,
  run: Pick<Run<unknown>, 'push'>,
  { joined, signal }: { readonly joined: Joined; readonly signal: AbortSignal | undefined },
): Promise<void> {
  for await (const documents of batches) {
    assertNotAborted(signal);
    await joined.load(documents);
    for (const document of documents) if (!run.push(document)) return;
  }
}

/** Documents joined to those at hand. */
interface Joined {
  /** Forgets what it holds and holds what these join. */
  load(documents: readonly StoredDocument[]): Promise<void>;
  readonly lookup: RunContext['lookup'];
}

function createJoined(view: View, joins: readonly Join[]): Joined {
  let held = new Map<string, StoredDocument>();
  return {
    lookup: (collection, key) => held.get(nameOf(collection, key)),
    async load(documents) {
      if (joins.length === 0 || documents.length === 0) return;
      held = new Map();
      const wanted = Map.groupBy(
        documents.flatMap((document) => joinedBy(joins, document)),
        ({ collection }) => collection,
      );
      for (const [collection, asked] of wanted) {
        const keys = [...new Set(asked.map(({ key }) => key))];
        for (const found of await view.lookup(collection, keys)) {
          held.set(nameOf(collection, found.key), found);
        }
      }
    },
  };
}

function inOrder(
  keys: readonly string[],
  found: readonly StoredDocument[],
  nowMs: number,
): readonly (StoredDocument | undefined)[] {
  const byKey = new Map(found.map((document) => [document.key, document]));
  return keys.map((key) => {
    const document = byKey.get(key);
    return document === undefined || isExpired(document, nowMs) ? undefined : document;
  });
}

function nameOf(collection: string, key: string): string {
  return JSON.stringify([collection, key]);
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new DomainError('CANCELED', 'the read was canceled');
}
