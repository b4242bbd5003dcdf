import { compareStrings } from './compare.ts';
import type { SortKey } from './order.ts';
import type { Arrival, Draft, PlanRequest } from './plan-model.ts';
import type { Order } from './query.ts';
import { rangesFrom, type KeyRange } from './reach.ts';

const NO_INDEX = { probes: [], fieldsUsed: 0 } as const;

/** Looks up the keys a selection names, in the order asked for when that is an order of keys. */
export function planKeys(keys: readonly string[], order: Order | undefined): Draft {
  const arrival = order?.by === 'key' || order?.by === 'asked' ? 'total' : 'unordered';
  const walked = order?.by === 'key' ? sortKeys(keys, order.direction) : keys;
  return { access: { kind: 'keys', keys: walked }, arrival, arrivalFields: 0, ...NO_INDEX };
}

function sortKeys(keys: readonly string[], direction: 'asc' | 'desc'): readonly string[] {
  const sorted = [...keys].sort(compareStrings);
  return direction === 'asc' ? sorted : sorted.reverse();
}

/** Walks all keys that a selection reaches, in an order the engine has for free if that is asked. */
export function planScan(
  request: PlanRequest,
  ranges: readonly KeyRange[],
  resume: SortKey | undefined,
): Draft {
  const { order } = request;
  if (order?.by === 'insertion' && request.canScanByInsertion) {
    return scanByInsertion(ranges, order.direction === 'desc', resume);
  }
  const direction = keyDirection(order);
  if (direction === undefined) return scanByKey(ranges, false, 'unordered');
  const reverse = direction === 'desc';
  // Sorting by the system field `_key` resumes by its value, which is the key as well.
  const kept = resume === undefined ? ranges : rangesFrom(ranges, resume.key, reverse);
  return scanByKey(kept, reverse, order?.by === 'key' ? 'total' : 'byFields');
}

function scanByKey(ranges: readonly KeyRange[], reverse: boolean, arrival: Arrival): Draft {
  const walked = reverse ? ranges.toReversed() : ranges;
  return {
    access: { kind: 'scan', ranges: walked, reverse, by: 'key', fromCreated: undefined },
    ...{ arrival, arrivalFields: arrival === 'byFields' ? 1 : 0 },
    ...NO_INDEX,
  };
}

/** The direction of a walk by key that serves an order, or undefined when none does. */
function keyDirection(order: Order | undefined): 'asc' | 'desc' | undefined {
  if (order?.by === 'key') return order.direction;
  const first = order?.by === 'fields' ? order.fields[0] : undefined;
  return first?.path.length === 1 && first.path[0] === '_key' ? first.direction : undefined;
}

function scanByInsertion(
  ranges: readonly KeyRange[],
  reverse: boolean,
  resume: SortKey | undefined,
): Draft {
  const created = resume?.values[0]?.value;
  const fromCreated = typeof created === 'number' ? BigInt(created) : undefined;
  return {
    access: { kind: 'scan', ranges, reverse, by: 'insertion', fromCreated },
    arrival: 'total',
    arrivalFields: 0,
    ...NO_INDEX,
  };
}
