import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { QueryLimits } from '../../storage/query/query.ts';
import { openRecords } from '../access/records.ts';
import { COUNT_MAX } from '../query/limits.ts';

/** How much one query may do, as far as an administrator can change it. All inclusive. */
export interface QueryBounds {
  /** Documents on a page. */
  readonly rowsMax: number;
  readonly timeMsMax: number;
  /** Documents examined. */
  readonly examinedMax: number;
  /** Bodies held for sorting, and text of groups. */
  readonly memoryBytesMax: number;
}

/** Bounds by name. */
export type QueryBoundName = keyof QueryBounds;

/** The bounds of a server that was told nothing else. */
export const QUERY_BOUNDS: QueryBounds = {
  rowsMax: COUNT_MAX,
  timeMsMax: 10_000,
  examinedMax: 1_000_000,
  memoryBytesMax: 128 * 1024 * 1024,
};

/** The bounds of the moment, and where they come from. */
export interface QueryBoundsState {
  readonly bounds: QueryBounds;
  /** What the configuration allows at most. */
  readonly ceiling: QueryBounds;
  /** Undefined: nobody has changed them. */
  readonly changed: { readonly atMs: number; readonly by: string } | undefined;
}

/** The bounds of queries while the server runs. */
export interface QueryBoundsControl {
  /** Cheap; asked for every query. */
  current(): QueryBounds;
  state(): QueryBoundsState;
  /**
   * Changes some of them, for all queries that begin from then on; 0 takes a change back. Kept by the
   * store. ARGUMENT_INVALID for more than the ceiling.
   */
  change(change: Partial<QueryBounds>, by: string): Promise<QueryBoundsState>;
}

interface Stored {
  readonly bounds: Partial<QueryBounds>;
  readonly atMs: number;
  readonly by: string;
}

/** Where the ceiling of each comes from. */
const OPTIONS: Readonly<Record<QueryBoundName, string>> = {
  rowsMax: '--max-query-rows',
  timeMsMax: '--max-query-time',
  examinedMax: '--max-query-scan',
  memoryBytesMax: '--max-query-memory',
};
const NAMES = Object.keys(OPTIONS) as readonly QueryBoundName[];
const KEY = 'queryBounds';

/** Opens the bounds of a store below a ceiling. */
export async function openQueryBounds({
  engine,
  clock,
  ceiling,
}: {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly ceiling: QueryBounds;
}): Promise<QueryBoundsControl> {
  const records = await openRecords<Stored>({ engine, collection: '$settings', recordsMax: 1 });
  // A ceiling may have come down since they were changed.
  const read = (): QueryBounds => lowest(ceiling, records.get(KEY)?.bounds ?? {});
  let bounds = read();
  const state = (): QueryBoundsState => ({ bounds, ceiling, changed: records.get(KEY) });
  return {
    current: () => bounds,
    state,
    async change(change, by) {
      for (const name of NAMES) checkBound(name, change[name] ?? 0, ceiling);
      await records.change(KEY, (stored) => {
        const entries = Object.entries({ ...stored?.bounds, ...change });
        const kept = entries.filter(([, value]) => value !== 0);
        return { bounds: Object.fromEntries(kept), atMs: clock.now(), by };
      });
      bounds = read();
      return state();
    },
  };
}

/** What an engine is told: these bounds, and those that nobody changes. */
export function toQueryLimits(bounds: QueryBounds): QueryLimits {
  const { timeMsMax: timeMs, examinedMax, memoryBytesMax } = bounds;
  return { timeMs, examinedMax, memoryBytesMax, sortedMax: 100_000, pageBytesMax: PAGE_BYTES_MAX };
}

const PAGE_BYTES_MAX = 16 * 1024 * 1024;

function lowest(ceiling: QueryBounds, wanted: Partial<QueryBounds>): QueryBounds {
  const entries = NAMES.map((name) => [name, Math.min(ceiling[name], wanted[name] ?? Infinity)]);
  return Object.fromEntries(entries) as QueryBounds;
}

function checkBound(name: QueryBoundName, value: number, ceiling: QueryBounds): void {
  if (value <= ceiling[name]) return;
  const limit = String(ceiling[name]);
  throw new DomainError(
    'ARGUMENT_INVALID',
    `${name} is ${String(value)}; the configuration allows at most ${limit} (${OPTIONS[name]})`,
    {
      metadata: { field: name, limit },
      violations: [{ field: name, description: `above ${limit}` }],
    },
  );
}
