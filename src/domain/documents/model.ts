/**
 * The words of the storage port that callers of the domain speak. The protocol imports them from here,
 * because it knows the domain and not the storage below it.
 */
export type { Committed, RequestIdentity } from '../../storage/engine.ts';
export type { AggregationGroup, Order, QueryPlan } from '../../storage/query/query.ts';
export {
  toSequence,
  toVersion,
  type Durability,
  type Json,
  type JsonObject,
  type Precondition,
  type Sequence,
  type StoredDocument,
} from '../../storage/types.ts';
