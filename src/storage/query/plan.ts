/**
 * The planner all engines share. It never sees a document: from the filter, the order, the keys in
 * reach and the indexes declared it chooses what to walk, and says what the order of that walk is
 * worth. What it leaves out widens the walk and never the result, for the executor decides each match.
 *
 * `reach` narrows by key, `constraint` reads bounds off the filter, `bind` turns them into ranges of
 * one index, `plan-order` tells which order the walk delivers, and `plan-index` weighs the indexes against
 * each other.
 */
import { effectiveOrder } from './order.ts';
import { planIndex } from './plan-index.ts';
import type { EncodedRange, Plan, PlanRequest } from './plan-model.ts';
import { planKeys, planScan } from './plan-scan.ts';
import { describe } from './plan-steps.ts';
import { decodePosition } from './position.ts';
import type { QueryCost, QueryPlan } from './query.ts';
import { reachOf } from './reach.ts';

export type { Access, Arrival, EncodedRange, Plan, PlanRequest } from './plan-model.ts';
export type { KeyRange } from './reach.ts';

/** A plan and what it cost, for people. */
export function describePlan(plan: Plan, cost: QueryCost): QueryPlan {
  const { access, fieldsUsed, arrival, steps } = plan;
  return {
    access: access.kind,
    index: access.kind === 'index' ? access.index : undefined,
    indexFieldsUsed: fieldsUsed,
    ordered: arrival === 'total',
    ...{ steps, cost },
  };
}

/**
 * Chooses how to find the candidates of a selection: by the keys it names, else through the index that
 * bounds them best, else by a scan of the keys it may see.
 *
 * PAGE_TOKEN_INVALID when `after` is not a position of this order.
 */
export function planSelection(request: PlanRequest): Plan {
  const { selection } = request;
  const order = request.order && effectiveOrder(request.order, selection.keys);
  const place =
    request.after === undefined || order === undefined
      ? undefined
      : decodePosition(order, request.after);
  // A count of every match has to see those before the position too.
  const resume = request.wantsAll ? undefined : place;
  const reach = reachOf(selection);
  const planned = { ...request, order };
  const found =
    reach.kind === 'keys'
      ? planKeys(reach.keys, order)
      : (planIndex(planned, resume) ?? planScan(planned, reach.ranges, resume));
  return { ...found, steps: describe(planned, found) };
}

/**
 * Plans and probes: asks `hasEntry` about the probes of the plan, and plans without that order when
 * one is hit. For engines that can answer synchronously.
 */
export function planWithProbes(
  request: PlanRequest,
  hasEntry: (index: string, range: EncodedRange) => boolean,
): Plan {
  const plan = planSelection(request);
  const { access } = plan;
  if (access.kind !== 'index') return plan;
  if (!plan.probes.some((range) => hasEntry(access.index, range))) return plan;
  return planWithProbes({ ...request, unordered: [...request.unordered, access.index] }, hasEntry);
}

/** The same for engines that must ask elsewhere. */
export async function planWithRemoteProbes(
  request: PlanRequest,
  hasEntry: (index: string, ranges: readonly EncodedRange[]) => Promise<boolean>,
): Promise<Plan> {
  const plan = planSelection(request);
  const { access, probes } = plan;
  if (access.kind !== 'index' || probes.length === 0) return plan;
  if (!(await hasEntry(access.index, probes))) return plan;
  const unordered = [...request.unordered, access.index];
  return await planWithRemoteProbes({ ...request, unordered }, hasEntry);
}
