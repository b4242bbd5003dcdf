/**
 * Reads of one connection, synchronous: the main thread uses it for a few keys, the reader threads for
 * everything that may take long. Every call is one read transaction.
 */
import {
  executeAggregation,
  executeQuery,
  type RunContext,
  type StopCause,
} from '../query/execute.ts';
import { describePlan, planWithProbes, type Plan } from '../query/plan.ts';
import type {
  Aggregation,
  AggregationResult,
  Order,
  Query,
  QueryPage,
  QueryPlan,
  Selection,
} from '../query/query.ts';
import {
  toSequence,
  type CollectionRecord,
  type LogEntry,
  type Sequence,
  type StoredDocument,
} from '../types.ts';
import { createStatements, type Connection, type Sql } from './database.ts';
import { readEnd } from './log-writer.ts';
import { assertKept, readFloor } from './floor.ts';
import { readLog, type LogRequest } from './log-reader.ts';
import { collectionOf, type CollectionRow } from '../commit/rows.ts';
import { openView, type View, type ViewOptions } from './view.ts';

/** How one read ends early. */
export interface ReadControl extends ViewOptions {
  readonly isAborted: () => boolean;
  /** Milliseconds from an arbitrary start; never goes backwards. */
  readonly monotonic: () => number;
}

/** Reads from one connection. */
export interface Reader {
  get(
    collection: string,
    keys: readonly string[],
    options: ViewOptions,
  ): readonly (StoredDocument | undefined)[];
  query(query: Query, control: ReadControl): QueryPage;
  aggregate(aggregation: Aggregation, control: ReadControl): AggregationResult;
  explain(query: Query, control: ReadControl): QueryPlan;
  /** Undefined when more than `giveUpBytes` would be read. */
  readLog(request: LogRequest, giveUpBytes?: number): readonly LogEntry[] | undefined;
  /** Those that existed right after a sequence, by name. */
  collections(atSequence: number): readonly CollectionRecord[];
  sequenceAt(timestampMs: number): Sequence;
  expired(limit: number, nowMs: number): readonly Expired[];
}

const AT_OR_BELOW = 'SELECT seq, ts FROM ver WHERE seq <= ? ORDER BY seq DESC LIMIT 1';
const PAST_COLLECTIONS = `SELECT * FROM collection
  WHERE born <= ? AND (retired IS NULL OR retired > ?) ORDER BY name`;
const EXPIRED = `SELECT c.name AS collection, h.key, h.expires_at AS at
  FROM collection c CROSS JOIN head h INDEXED BY head_expiry ON h.collection = c.id
  WHERE c.retired IS NULL AND h.expires_at <= ? LIMIT ?`;

/** Creates the reader of a connection. */
export function createReader(database: Connection): Reader {
  return new SnapshotReader(createStatements(database));
}

class SnapshotReader implements Reader {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  get(
    collection: string,
    keys: readonly string[],
    options: ViewOptions,
  ): readonly (StoredDocument | undefined)[] {
    return this.#inSnapshot(() => {
      const view = openView(this.#sql, options);
      return keys.map((key) => {
        const found = view.lookup(collection, key);
        const expiresAtMs = found?.expiresAtMs ?? Infinity;
        return expiresAtMs <= view.nowMs ? undefined : found;
      });
    });
  }

  query(query: Query, control: ReadControl): QueryPage {
    return this.#find(query, control).page;
  }

  aggregate(aggregation: Aggregation, control: ReadControl): AggregationResult {
    return this.#run({ selection: aggregation, wantsAll: true }, control, (candidates, context) =>
      executeAggregation(aggregation, candidates, context),
    );
  }

  explain(query: Query, control: ReadControl): QueryPlan {
    const { page, plan } = this.#find(query, control);
    return describePlan(plan, page.cost);
  }

  readLog(request: LogRequest, giveUpBytes?: number): readonly LogEntry[] | undefined {
    return this.#inSnapshot(() => {
      assertKept(this.#sql, request.after);
      return readLog(this.#sql, request, giveUpBytes);
    });
  }

  collections(atSequence: number): readonly CollectionRecord[] {
    return this.#inSnapshot(() => {
      // Refuses what cannot be read.
      openView(this.#sql, { atSequence, nowMs: 0 });
      const rows = this.#sql(PAST_COLLECTIONS).all(atSequence, atSequence) as CollectionRow[];
      return rows.map(collectionOf);
    });
  }

  sequenceAt(timestampMs: number): Sequence {
    const sql = this.#sql;
    const find = (sequence: number): EntryTime | undefined =>
      sql(AT_OR_BELOW).get(sequence) as EntryTime | undefined;
    return this.#inSnapshot(() => {
      const found = lastAtOrBefore(timestampMs, find, readEnd(sql).sequence);
      // Of the floor itself the entry may be gone.
      const floor = readFloor(sql);
      return toSequence(floor.timestampMs <= timestampMs ? Math.max(found, floor.sequence) : found);
    });
  }

  expired(limit: number, nowMs: number): readonly Expired[] {
    const rows = this.#sql(EXPIRED).all(nowMs, limit) as (Expired & { readonly at: number })[];
    return rows.toSorted((a, b) => a.at - b.at).map(({ collection, key }) => ({ collection, key }));
  }

  #find(query: Query, control: ReadControl): { readonly page: QueryPage; readonly plan: Plan } {
    const { order, after, total: wantsAll } = query;
    const request = { selection: query, order, after, wantsAll };
    return this.#run(request, control, (candidates, context) => ({
      page: executeQuery(query, candidates, context),
      plan: context.plan,
    }));
  }

  #run<T>(request: ReadRequest, control: ReadControl, execute: Execute<T>): T {
    const { selection, order, after, wantsAll } = request;
    const { collection } = selection;
    return this.#inSnapshot(() => {
      const view = openView(this.#sql, control);
      const plan = planWithProbes(
        {
          ...{ selection, order, after, wantsAll, unordered: [] },
          indexes: view.indexes(collection),
          canScanByInsertion: view.canScanByInsertion,
        },
        (index, range) => view.hasEntry(collection, index, range),
      );
      const context = contextOf(plan, view, { selection, control });
      return execute(view.candidates(collection, plan), context);
    });
  }

  #inSnapshot<T>(body: () => T): T {
    this.#sql('BEGIN').run();
    try {
      return body();
    } finally {
      this.#sql('COMMIT').run();
    }
  }
}

interface ReadRequest {
  readonly selection: Selection;
  readonly order?: Order;
  readonly after?: string | undefined;
  readonly wantsAll: boolean;
}

type Execute<T> = (candidates: Iterable<StoredDocument>, context: RunContext) => T;

interface EntryTime {
  readonly seq: number;
  readonly ts: number;
}

interface Expired {
  readonly collection: string;
  readonly key: string;
}

/** Commit times never decrease along the sequence, so the log can be searched by halves. */
function lastAtOrBefore(
  timestampMs: number,
  find: (sequence: number) => EntryTime | undefined,
  last: number,
): number {
  let found = 0;
  for (let low = 1, high = last; low <= high;) {
    const middle = Math.floor((low + high) / 2);
    const entry = find(middle);
    if (entry === undefined || entry.ts <= timestampMs) {
      found = entry?.seq ?? found;
      low = middle + 1;
    } else {
      high = entry.seq - 1;
    }
  }
  return found;
}

function contextOf(
  plan: Plan,
  view: View,
  { selection, control }: { readonly selection: Selection; readonly control: ReadControl },
): RunContext {
  const startMs = control.monotonic();
  const elapsedMs = (): number => control.monotonic() - startMs;
  return {
    plan,
    lookup: (collection, key) => view.lookup(collection, key),
    nowMs: view.nowMs,
    shouldStop: (): StopCause | undefined => {
      if (control.isAborted()) return 'aborted';
      return elapsedMs() > selection.limits.timeMs ? 'timeout' : undefined;
    },
    sequence: toSequence(view.sequence),
    elapsedMs,
  };
}
