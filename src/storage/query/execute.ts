/**
 * The executor all engines share: it takes the candidates an engine found, narrowed or not, and decides
 * everything else. Keys in reach, expiry, filter, position, order, offset, limit, joins, projection,
 * figures and bounds are applied here and nowhere else, so that all engines answer alike.
 *
 * It pulls: as soon as no further candidate can change the page it stops, and the engine's statement is
 * closed by the end of the iteration.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Sequence, StoredDocument } from '../types.ts';
import { createGrouping } from './aggregate.ts';
import type { Candidate } from './candidate.ts';
import { compileFilter } from './evaluate.ts';
import { compileJoins, isExpired, type DocumentLookup } from './join.ts';
import { compileOrder, effectiveOrder, type Ordering, type SortKey } from './order.ts';
import { createPage, type Page } from './page.ts';
import type { Plan } from './plan-model.ts';
import { decodePosition } from './position.ts';
import type {
  Aggregation,
  AggregationResult,
  Query,
  QueryCost,
  QueryPage,
  Selection,
} from './query.ts';
import { compileReach } from './reach.ts';
import { createTopCollector } from './top.ts';

export type { DocumentLookup } from './join.ts';

/** Why a run must end before it is done. */
export type StopCause = 'aborted' | 'timeout';

/** What an engine lends to one run. */
export interface RunContext {
  readonly plan: Plan;
  /** For joins. */
  readonly lookup: DocumentLookup;
  /** Unix milliseconds; a document that expires at or before this instant does not exist. */
  readonly nowMs: number;
  /** Asked before the first and then every 256 documents. */
  readonly shouldStop: () => StopCause | undefined;
  /** The state that is read. */
  readonly sequence: Sequence;
  /** Milliseconds since the run began, for the cost. */
  readonly elapsedMs: () => number;
}

/** A query in steps, for engines whose candidates arrive asynchronously. */
export interface QueryRun {
  /** Takes one candidate; false when no further one can change the page. */
  push(document: StoredDocument): boolean;
  /** What `finish` has still to look at, with what is joined to it. */
  kept(): readonly StoredDocument[];
  /** The page; call once, after the last push. */
  finish(): QueryPage;
}

/** An aggregation in steps. */
export interface AggregationRun {
  push(document: StoredDocument): void;
  finish(): AggregationResult;
}

/**
 * One page of a query over the candidates of a plan. Pulls no further than it must.
 *
 * QUERY_LIMIT_EXCEEDED past a bound of `query.limits`, CANCELED when aborted, PAGE_TOKEN_INVALID when
 * `query.after` is not a position of this order, CORRUPTION_DETECTED for a body that is not JSON.
 */
export function executeQuery(
  query: Query,
  candidates: Iterable<StoredDocument>,
  context: RunContext,
): QueryPage {
  const run = createQueryRun(query, context);
  for (const document of candidates) if (!run.push(document)) break;
  return run.finish();
}

/** All groups of an aggregation over the candidates of a plan. Errors as `executeQuery`. */
export function executeAggregation(
  aggregation: Aggregation,
  candidates: Iterable<StoredDocument>,
  context: RunContext,
): AggregationResult {
  const run = createAggregationRun(aggregation, context);
  for (const document of candidates) run.push(document);
  return run.finish();
}

/** Starts a query; see `executeQuery`. Joined documents are looked up while pushing and finishing. */
export function createQueryRun(query: Query, context: RunContext): QueryRun {
  const order = effectiveOrder(query.order, query.keys);
  const ordering = compileOrder(order, query.keys);
  const after = query.after === undefined ? undefined : decodePosition(order, query.after);
  const sieve = createSieve(query, context);
  const page = createPage(query, order, sieve.wrap);
  const sink =
    context.plan.arrival === 'total'
      ? streamSink(query, page)
      : sortingSink(query, ordering, { page, plan: context.plan });
  let total = 0;
  return {
    push(document) {
      const candidate = sieve.take(document);
      if (candidate === undefined) return true;
      total++;
      const place = ordering.keyOf(candidate);
      if (after !== undefined && ordering.compare(place, after) <= 0) return true;
      const wantsMore = sink.add({ document, place });
      return wantsMore || query.total;
    },
    kept: () => sink.kept(),
    finish() {
      sink.finish();
      const { documents } = page;
      const cost = costOf(sieve.examined(), documents.length, context);
      return {
        ...{ documents, next: page.next(), sequence: context.sequence, cost },
        total: query.total ? total : undefined,
      };
    },
  };
}

/** Starts an aggregation; see `executeAggregation`. */
export function createAggregationRun(
  aggregation: Aggregation,
  context: RunContext,
): AggregationRun {
  const sieve = createSieve(aggregation, context);
  const grouping = createGrouping(aggregation);
  return {
    push(document) {
      const candidate = sieve.take(document);
      if (candidate !== undefined) grouping.add(candidate);
    },
    finish() {
      const groups = grouping.groups();
      const cost = costOf(sieve.examined(), groups.length, context);
      return { groups, sequence: context.sequence, cost };
    },
  };
}

function costOf(examined: number, returned: number, context: RunContext): QueryCost {
  const { access } = context.plan;
  const plan = access.kind === 'index' ? `index ${access.index}` : access.kind;
  return { examined, returned, elapsedMs: context.elapsedMs(), plan };
}

/** Lets the matches of a selection through. */
interface Sieve {
  /** The candidate when the document is in reach, exists and matches. Counts it as examined. */
  readonly take: (document: StoredDocument) => Candidate | undefined;
  readonly wrap: (document: StoredDocument) => Candidate;
  readonly examined: () => number;
}

/** How many documents pass between two looks at the clock. */
const STOP_CHECK_EVERY = 256;

function createSieve(selection: Selection, context: RunContext): Sieve {
  const { limits } = selection;
  const reaches = compileReach(selection);
  const matches = compileFilter(selection.filter);
  const wrap = compileJoins(selection.joins, context.lookup, context.nowMs);
  let examined = 0;
  return {
    wrap,
    examined: () => examined,
    take(document) {
      if (examined % STOP_CHECK_EVERY === 0) assertMayGoOn(context, selection);
      if (examined >= limits.examinedMax) throw tooMany('examinedMax', limits.examinedMax);
      examined++;
      if (!reaches(document.key) || isExpired(document, context.nowMs)) return undefined;
      const candidate = wrap(document);
      return matches(candidate) ? candidate : undefined;
    },
  };
}

function assertMayGoOn(context: RunContext, { limits }: Selection): void {
  switch (context.shouldStop()) {
    case undefined:
      return;
    case 'aborted':
      throw new DomainError('CANCELED', 'the query was canceled');
    case 'timeout':
      throw tooMany('timeMs', limits.timeMs);
  }
}

const BOUNDS = {
  examinedMax: (limit: string) =>
    `the query examines more than ${limit} documents; narrow it by an index or a key prefix`,
  sortedMax: (limit: string) =>
    `the query sorts more than ${limit} documents; narrow it, or declare an index in its order`,
  memoryBytesMax: (limit: string) =>
    `the query holds more than ${limit} bytes to sort; ask for fewer documents, or declare an index in its order`,
  timeMs: (limit: string) =>
    `the query ran longer than ${limit} ms; narrow it by an index or a key prefix`,
} as const;

function tooMany(bound: keyof typeof BOUNDS, limit: number): DomainError {
  return new DomainError('QUERY_LIMIT_EXCEEDED', BOUNDS[bound](String(limit)), {
    metadata: { bound, limit: String(limit) },
  });
}

/** A match and its place in the order. */
interface Found {
  readonly document: StoredDocument;
  readonly place: SortKey;
}

/** Where matches go. */
interface Sink {
  /** False when no further match can change the page. */
  readonly add: (found: Found) => boolean;
  /** What is not on the page yet and may come there. */
  readonly kept: () => readonly StoredDocument[];
  readonly finish: () => void;
}

/** Matches arrive in order: skip the offset, fill the page, stop. */
function streamSink(query: Query, page: Page): Sink {
  let skipped = 0;
  return {
    add({ document, place }) {
      if (skipped < query.offset) {
        skipped++;
        return true;
      }
      return page.add(document, place);
    },
    kept: () => [],
    finish: () => undefined,
  };
}

/** Matches arrive in any order, or only sorted by leading fields: keep the first of the order. */
function sortingSink(
  query: Query,
  ordering: Ordering,
  { page, plan }: { readonly page: Page; readonly plan: Plan },
): Sink {
  // One more than the page, to know whether there is a next one.
  const capacity = query.offset + query.limit + 1;
  const top = createTopCollector<Found>(capacity, (a, b) => ordering.compare(a.place, b.place));
  const { sortedMax, memoryBytesMax } = query.limits;
  let heldChars = 0;
  const arriving = plan.arrival === 'byFields' ? plan.arrivalFields : 0;
  return {
    add(found) {
      const last = top.last();
      if (top.push(found)) {
        if (top.size() > sortedMax) throw tooMany('sortedMax', sortedMax);
        heldChars += found.document.body.length - (last?.document.body.length ?? 0);
        if (heldChars > memoryBytesMax) throw tooMany('memoryBytesMax', memoryBytesMax);
      }
      // In sorted arrival nothing after a greater value can come before what is held.
      return (
        last === undefined ||
        arriving === 0 ||
        ordering.compareFields(found.place, last.place, arriving) <= 0
      );
    },
    kept: () => top.sorted().map(({ document }) => document),
    finish() {
      for (const { document, place } of top.sorted().slice(query.offset)) {
        if (!page.add(document, place)) return;
      }
    },
  };
}
