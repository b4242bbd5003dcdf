import { DomainError } from '../../errors/domain-error.ts';
import type { Json } from '../types.ts';
import { resolve, type Candidate } from './candidate.ts';
import { compareValues } from './compare.ts';
import { canonicalText } from './encode.ts';
import { createMetric, type MetricState } from './metric.ts';
import type { Aggregation, AggregationGroup } from './query.ts';

/** The most text that group values and distinct values of one aggregation may hold, in UTF-16 units. */
const HELD_UNITS_MAX = 16 * 1024 * 1024;

/** Groups documents and keeps figures. */
export interface Grouping {
  /** QUERY_LIMIT_EXCEEDED past `groupsMax` groups, distinct values, or too much text of them. */
  add(candidate: Candidate): void;
  /** All groups by their values in type order. Without `groupBy` exactly one, even of nothing. */
  groups(): readonly AggregationGroup[];
}

interface Group {
  readonly values: readonly Json[];
  readonly metrics: readonly MetricState[];
}

/** Creates the grouping of an aggregation. */
export function createGrouping(aggregation: Aggregation): Grouping {
  const { groupBy, metrics, groupsMax } = aggregation;
  const groups = new Map<string, Group>();
  const heldMax = Math.min(HELD_UNITS_MAX, aggregation.limits.memoryBytesMax);
  let heldUnits = 0;

  function hold(text: string): void {
    heldUnits += text.length;
    if (heldUnits > heldMax) throw tooMuch('text of distinct values', heldMax);
  }

  function create(values: readonly Json[]): Group {
    return { values, metrics: metrics.map((metric) => createMetric(metric, groupsMax, hold)) };
  }

  if (groupBy.length === 0) groups.set('[]', create([]));
  return {
    add(candidate) {
      const values = groupBy.map((path) => resolve(path, candidate) ?? null);
      const id = canonicalText(values);
      let group = groups.get(id);
      if (group === undefined) {
        if (groups.size >= groupsMax) throw tooMuch('groups', groupsMax);
        hold(id);
        group = create(values);
        groups.set(id, group);
      }
      for (const metric of group.metrics) metric.add(candidate);
    },
    groups: () =>
      [...groups.values()]
        .sort((a, b) => compareValues(a.values, b.values))
        .map((group) => ({ values: group.values, figures: figuresOf(group) })),
  };
}

function figuresOf(group: Group): Readonly<Record<string, Json>> {
  return Object.fromEntries(group.metrics.map((metric) => [metric.name, metric.figure()]));
}

/** The failure of an aggregation that would hold too much. */
export function tooMuch(what: string, limit: number): DomainError {
  return new DomainError(
    'QUERY_LIMIT_EXCEEDED',
    `the aggregation holds more than ${String(limit)} ${what}; group more coarsely or filter more`,
    { metadata: { bound: what, limit: String(limit) } },
  );
}
