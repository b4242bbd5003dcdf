/**
 * The query language of users, parsed into the closed query model of the storage port.
 *
 * What arrives is untrusted JSON; what leaves holds only known operators, bounded lists and valid
 * paths. Nothing is guessed: an unknown name, a wrong type or a passed bound is an error that names the
 * argument by its path, what it got and what it wants. `where` parses conditions, `operator` is the
 * table of their names, and the other files parse one argument each. Nothing here knows who asks:
 * access to keys and joined collections is added by whoever authorises.
 */
import type { Filter } from '../../storage/query/filter.ts';
import type { Order, Projection } from '../../storage/query/query.ts';
import type { Json } from '../../storage/types.ts';
import { parseJoins, type JoinRequest } from './join.ts';
import { COUNT_DEFAULT, COUNT_MAX, OFFSET_MAX } from './limits.ts';
import { parseProjection } from './projection.ts';
import { wantWhole } from './shape.ts';
import { parseOrder } from './sort.ts';
import { parseWhere } from './where.ts';

/** The arguments of a query in JSON, as their protocols carry them. Absent ones are undefined. */
export interface QueryArguments {
  readonly where?: Json | undefined;
  readonly sort?: unknown;
  readonly order?: unknown;
  readonly fields?: unknown;
  readonly excludedFields?: unknown;
  readonly joins?: unknown;
  readonly count?: unknown;
  readonly offset?: unknown;
}

/** The parts of a query that a user decides. */
export interface ParsedQuery {
  readonly filter: Filter;
  readonly order: Order;
  readonly projection: Projection | undefined;
  readonly joins: readonly JoinRequest[];
  /** 1 to 1,000; 100 when nothing is asked. */
  readonly limit: number;
  /** 0 to 100,000. */
  readonly offset: number;
}

/** Parses all arguments of a query; FILTER_INVALID for `where`, ARGUMENT_INVALID for the others. */
export function parseQuery(
  query: QueryArguments,
  fallbackOrder: Order = { by: 'key', direction: 'asc' },
): ParsedQuery {
  return {
    filter: parseWhere(query.where),
    order: parseOrder(query, fallbackOrder),
    projection: parseProjection(query),
    joins: parseJoins(query.joins),
    limit: parseCount(query.count),
    offset: parseOffset(query.offset),
  };
}

/** Parses how many documents a page has: 1 to 1,000, absent 100. */
export function parseCount(value: unknown): number {
  if (value === undefined) return COUNT_DEFAULT;
  return wantWhole(value, { field: 'count', min: 1, max: COUNT_MAX });
}

/** Parses how many matches are skipped: 0 to 100,000, absent 0. */
export function parseOffset(value: unknown): number {
  return value === undefined ? 0 : wantWhole(value, { field: 'offset', min: 0, max: OFFSET_MAX });
}
