import { create, type JsonObject as WireObject } from '@bufbuild/protobuf';

import {
  AccessPath,
  AggregateGroupSchema,
  DocumentOrder,
  MetricKind,
  QueryPlanSchema,
  SortDirection,
  type AggregateGroup,
  type Join,
  type Metric,
  type Query,
  type QueryPlan,
  type SortField,
} from '../../../gen/molten/v1/query_pb.ts';
import {
  type AggregationGroup,
  type Order,
  type QueryPlan as Plan,
  type Sequence,
  toSequence,
} from '../../domain/documents/model.ts';
import type { QueryRequest } from '../../domain/documents/reads.ts';
import { toValue } from './document.ts';

/** The parts of a query that `Query` carries, for the domain to parse. */
export function fromQuery(
  query: Query | undefined,
): Pick<QueryRequest, 'where' | 'sort' | 'fields' | 'excludedFields' | 'joins' | 'keys' | 'order'> {
  const { where, sort = [], fields = [], excludedFields = [], joins = [], keys = [] } = query ?? {};
  return {
    ...{ where, fields, excludedFields },
    sort: sort.map(fromSortField),
    joins: joins.map(fromJoin),
    keys: keys.length === 0 ? undefined : keys,
    order: fromOrder(query?.order),
  };
}

/** A join in the shape that the domain parses. */
export function fromJoin({ alias, from, on, fields }: Join): unknown {
  return { alias, from, on, fields };
}

/** A metric in the shape that the domain parses. */
export function fromMetric({ name, kind, path }: Metric): unknown {
  return { name, kind: METRICS[kind], ...(path === '' ? {} : { path }) };
}

/** The sequence to read at; 0 is the newest. */
export function fromReadSequence(sequence: bigint): Sequence | undefined {
  return sequence === 0n ? undefined : toSequence(sequence);
}

/** A plan as callers see it. */
export function toPlan({ access, index, indexFieldsUsed, ordered, steps, cost }: Plan): QueryPlan {
  return create(QueryPlanSchema, {
    access: ACCESS[access],
    index: index ?? '',
    indexFieldsUsed,
    orderedByIndex: ordered,
    steps: [...steps],
    examinedCount: BigInt(cost.examined),
    returnedCount: BigInt(cost.returned),
    elapsedMs: cost.elapsedMs,
  });
}

/** A group of an aggregation as callers see it. */
export function toGroup({ values, figures }: AggregationGroup): AggregateGroup {
  return create(AggregateGroupSchema, {
    values: values.map(toValue),
    figures: figures as WireObject,
  });
}

const METRICS: Readonly<Record<number, string>> = {
  [MetricKind.COUNT]: 'count',
  [MetricKind.SUM]: 'sum',
  [MetricKind.AVG]: 'avg',
  [MetricKind.MIN]: 'min',
  [MetricKind.MAX]: 'max',
  [MetricKind.DISTINCT]: 'distinct',
};

const ACCESS = { keys: AccessPath.KEYS, index: AccessPath.INDEX, scan: AccessPath.SCAN } as const;

function fromSortField({ path, direction }: SortField): unknown {
  return { path, direction: direction === SortDirection.DESCENDING ? 'desc' : 'asc' };
}

function fromOrder(order: DocumentOrder | undefined): Order | undefined {
  switch (order) {
    case DocumentOrder.KEY_ASCENDING:
      return { by: 'key', direction: 'asc' };
    case DocumentOrder.KEY_DESCENDING:
      return { by: 'key', direction: 'desc' };
    case DocumentOrder.OLDEST_FIRST:
      return { by: 'insertion', direction: 'asc' };
    case DocumentOrder.NEWEST_FIRST:
      return { by: 'insertion', direction: 'desc' };
    default:
      return undefined;
  }
}
