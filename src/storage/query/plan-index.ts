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

/** How good a walk is; 0 when a scan is no worse. */
function weigh(
  request: PlanRequest,
  binding: Binding,
  order: DeliveredOrder | undefined,
): number {
  const { index, pointFields, intervalWeight: weight } = binding;
  if (binding.ranges.length === 0) return UNIQUE_SCORE;
  const isUniqueHit = index.unique && pointFields === index.fields.length;
  const orderScore = order !== undefined && !request.wantsAll ? ORDER_SCORE : 0;
  const score = pointFields * POINT_SCORE + weight + orderScore + (isUniqueHit ? UNIQUE_SCORE : 0);
  if (pointFields > 0) return score;
  if (orderScore > 0 && (weight > 0 || isUnfiltered(request))) return score;
  // Without equality the walk may be long. A scan that has the order for free can end early instead.
  const isNarrowed = request.selection.keyPrefix !== '' || request.selection.access.kind === 'some';
  if (isNarrowed || weight <= 1) return 0;
  return weight === 2 && !request.wantsAll && request.order?.by === 'key' ? 0 : score;
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
  const { index, pointFields, intervalWeight: weight } = binding;
  const reverse = order?.reverse ?? false;
  const boundary = resume === undefined ? undefined : order?.boundary(resume);
  const kept = boundary === undefined ? binding.ranges : cut(binding.ranges, boundary, reverse);
  return {
    access: {
      kind: 'index',
      index: index.name,
      ranges: reverse ? [...kept].reverse() : kept,
      reverse,
      afterKey: order?.isByKey === true ? resume?.key : undefined,
    },
    arrival: order === undefined ? 'unordered' : order.isTotal ? 'total' : 'byFields',
    arrivalFields: order === undefined || order.isTotal ? 0 : order.fields,
    probes: order?.probes ?? [],
    fieldsUsed: pointFields + (weight > 0 ? 1 : 0),
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
