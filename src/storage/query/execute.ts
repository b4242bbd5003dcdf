import type { Sequence, StoredDocument } from '../types.ts';
import type { Aggregation, AggregationResult, Query, QueryPage } from './query.ts';
import type { Plan } from './plan.ts';

/** Finds the current document under a key in the same state the candidates come from. */
export type DocumentLookup = (collection: string, key: string) => StoredDocument | undefined;

/** Why a run must end before it is done. */
export type StopCause = 'aborted' | 'timeout';

/** What an engine lends to one run. */
export interface RunContext {
  readonly plan: Plan;
  /** For joins. */
  readonly lookup: DocumentLookup;
  /** Unix milliseconds; a document that expires at or before this instant does not exist. */
  readonly nowMs: number;
  /** Asked every 256 documents. */
  readonly shouldStop: () => StopCause | undefined;
  /** The state that is read. */
  readonly sequence: Sequence;
  /** Milliseconds since the run began, for the cost. */
  readonly elapsedMs: () => number;
}

/**
 * One page of a query over the candidates of a plan, which may be narrowed or not. Pulls no further
 * than it must. Applies keys, access, expiry, filter, position, offset, limit and bounds itself.
 *
 * QUERY_LIMIT_EXCEEDED past a bound of `query.limits`, CANCELED when aborted, PAGE_TOKEN_INVALID when
 * `query.after` is not a position of this order, CORRUPTION_DETECTED for a body that is not JSON.
 */
export declare function executeQuery(
  query: Query,
  candidates: Iterable<StoredDocument>,
  context: RunContext,
): QueryPage;

/** All groups of an aggregation over the candidates of a plan. Errors as `executeQuery`. */
export declare function executeAggregation(
  aggregation: Aggregation,
  candidates: Iterable<StoredDocument>,
  context: RunContext,
): AggregationResult;

/**
 * A query in steps, for engines whose candidates arrive asynchronously: push until it wants no more,
 * then finish.
 */
export interface QueryRun {
  /** Takes one candidate; false when no further one can change the page. */
  push(document: StoredDocument): boolean;
  finish(): QueryPage;
}

/** An aggregation in steps. */
export interface AggregationRun {
  push(document: StoredDocument): void;
  finish(): AggregationResult;
}
