import { bind, storedConstraints, type Binding } from './bind.ts';
import { prefixEnd } from './encode.ts';
import type { SortKey } from './order.ts';
import type { Draft, EncodedRange, PlanRequest } from './plan-model.ts';
import { deliveredOrder, type DeliveredOrder } from './plan-order.ts';

/** The best walk of an index, or undefined when a scan is no worse than any. */
export function planIndex(request: PlanRequest, resume: SortKey | undefined): Draft | undefined {
  const constraints = storedConstraints(request.selection);
  let best: { readonly draft: Draft; readonly score: number } | undefined;
  for (const index of request.indexes) {
    if (index.state !== 'ready') continue;
    const binding = bind(index, constraints);
    const order = request.unordered.includes(index.name)
      ? undefined
      : deliveredOrder(binding, request.order);
    const score = weigh(request, binding, order);
    if (score > 0 && (best === undefined || score > best.score)) {
      best = { draft: draftOf(binding, order, resume), score };
    }
  }
  return best?.draft;
}

const POINT_SCORE = 10;
const ORDER_SCORE = 4;
const UNIQUE_SCORE = 100;
/** Weights of an interval of only types and of one open at one end; see `Binding`. */
const TYPE_RANGE = 1;
const OPEN_RANGE = 2;

/** How good a walk is; 0 when a scan is no worse. */
function weigh(request: PlanRequest, binding: Binding, order: DeliveredOrder | undefined): number {
  const { index, pointFields, intervalWeight: weight } = binding;
  if (binding.ranges.length === 0) return UNIQUE_SCORE;
  const orderScore = order !== undefined && !request.wantsAll ? ORDER_SCORE : 0;
  if (pointFields === 0) {
    const isWorthIt = orderScore > 0 ? weight > 0 || isUnfiltered(request) : false;
    return isWorthIt || isRangeWorthIt(request, weight) ? weight + orderScore : 0;
  }
  const isUniqueHit = index.unique && pointFields === index.fields.length;
  return pointFields * POINT_SCORE + weight + orderScore + (isUniqueHit ? UNIQUE_SCORE : 0);
}

/**
 * Without equality the walk may be long. A scan that has the order for free, or a narrow run of keys,
 * is the safer choice unless the range is closed.
 */
function isRangeWorthIt(request: PlanRequest, weight: number): boolean {
  const { keyPrefix, access } = request.selection;
  if (keyPrefix !== '' || access.kind === 'some') return false;
  const isScanOrdered = !request.wantsAll && request.order?.by === 'key';
  return weight > (isScanOrdered ? OPEN_RANGE : TYPE_RANGE);
}

/** Nothing but the order is asked, so that walking an index in order examines only the page. */
function isUnfiltered({ selection }: PlanRequest): boolean {
  const { filter, keyPrefix, access } = selection;
  const matchesAll = filter.kind === 'and' && filter.clauses.length === 0;
  return matchesAll && keyPrefix === '' && access.kind === 'all';
}

function draftOf(
  binding: Binding,
  order: DeliveredOrder | undefined,
  resume: SortKey | undefined,
): Draft {
  const { index, ranges, pointFields, intervalWeight: weight } = binding;
  const fieldsUsed = pointFields + (weight > 0 ? 1 : 0);
  const walk = { kind: 'index', index: index.name } as const;
  if (order === undefined) {
    return {
      access: { ...walk, ranges, reverse: false, afterKey: undefined },
      ...{ arrival: 'unordered', arrivalFields: 0, probes: [], fieldsUsed },
    };
  }
  const { reverse, isTotal, isByKey, probes } = order;
  const boundary = resume === undefined ? undefined : order.boundary(resume);
  const kept = boundary === undefined ? ranges : cut(ranges, boundary, reverse);
  return {
    access: {
      ...walk,
      ranges: reverse ? kept.toReversed() : kept,
      reverse,
      afterKey: isByKey ? resume?.key : undefined,
    },
    arrival: isTotal ? 'total' : 'byFields',
    arrivalFields: isTotal ? 0 : order.fields,
    ...{ probes, fieldsUsed },
  };
}

/** Drops what lies before the boundary in the direction of the walk; the boundary itself stays. */
function cut(
  ranges: readonly EncodedRange[],
  boundary: Buffer,
  reverse: boolean,
): readonly EncodedRange[] {
  const end = prefixEnd(boundary);
  return ranges.flatMap(({ lower, upper }): EncodedRange[] => {
    if (reverse) {
      if (end === undefined) return [{ lower, upper }];
      const cutUpper = upper === undefined || end.compare(upper) < 0 ? end : upper;
      return lower.compare(cutUpper) < 0 ? [{ lower, upper: cutUpper }] : [];
    }
    const cutLower = lower.compare(boundary) < 0 ? boundary : lower;
    return upper === undefined || cutLower.compare(upper) < 0 ? [{ lower: cutLower, upper }] : [];
  });
}
