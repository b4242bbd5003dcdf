import { RANK } from './compare.ts';
import type { Binding } from './bind.ts';
import { between, keepsSortOrder, towards, type Constraints } from './constraint.ts';
import { encodeComponent, encodeTag, prefixEnd } from './encode.ts';
import type { SortKey, SortValue } from './order.ts';
import { formatPath } from './path.ts';
import type { EncodedRange } from './plan-model.ts';
import type { Order, SortField } from './query.ts';
import type { Json } from '../types.ts';

/** The types whose entries do not come in sort order: text is folded, arrays and objects hashed. */
const FOLDED = between(RANK.string, RANK.missing);

/** Reports whether what matches at `path` is certain to come in sort order. */
function isSortable(constraints: Constraints, path: string): boolean {
  const constraint = constraints.get(path);
  return constraint !== undefined && keepsSortOrder(constraint);
}

/** What the walk of an index is worth as an order. */
export interface DeliveredOrder {
  readonly reverse: boolean;
  /** How many leading sort fields the walk follows. */
  readonly fields: number;
  /** Ties are delivered by key as well, so that nothing is left to sort. */
  readonly isTotal: boolean;
  /** The walk is by key alone. */
  readonly isByKey: boolean;
  /** Must hold no entry. */
  readonly probes: readonly EncodedRange[];
  /** The prefix of the entries at a place of the order; undefined when it cannot be told. */
  readonly boundary: (place: SortKey) => Buffer | undefined;
}

/** How much of `order` the walk of a bound index delivers; undefined when nothing. */
export function deliveredOrder(
  binding: Binding,
  order: Order | undefined,
): DeliveredOrder | undefined {
  if (order?.by === 'key') return byKey(binding, order.direction);
  if (order?.by !== 'fields') return undefined;
  const match = matchFields(binding, order.fields);
  if (match.followed === 0) return undefined;
  const covered = binding.fixedFields + match.followed;
  return {
    reverse: match.reverse,
    fields: match.skipped + match.followed,
    isTotal: match.followed === match.count && covered === binding.index.fields.length,
    isByKey: false,
    probes: match.probes,
    boundary: (place) => boundaryOf(binding, place, match),
  };
}

/** Equal entries come by key, so an index with every field fixed is a list of keys. */
function byKey(binding: Binding, direction: 'asc' | 'desc'): DeliveredOrder | undefined {
  const isFixed = binding.fixedFields === binding.index.fields.length;
  if (!isFixed || direction === 'desc') return undefined;
  return {
    ...{ reverse: false, fields: 0, isTotal: true, isByKey: true, probes: [] },
    boundary: () => undefined,
  };
}

interface FieldMatch {
  readonly reverse: boolean;
  /** Leading sort fields that every match holds at one value. */
  readonly skipped: number;
  /** Sort fields after those. */
  readonly count: number;
  /** How many of them the index follows. */
  readonly followed: number;
  readonly probes: readonly EncodedRange[];
}

function matchFields(binding: Binding, fields: readonly SortField[]): FieldMatch {
  const skipped = fields.findIndex((field) => !isConstant(binding, formatPath(field.path)));
  const asked = skipped < 0 ? [] : fields.slice(skipped);
  const available = binding.index.fields.slice(binding.fixedFields);
  const reverse = asked[0]?.direction !== available[0]?.direction;
  let followed = 0;
  let probes: readonly EncodedRange[] = [];
  for (const [at, field] of asked.entries()) {
    const part = available[at];
    const path = formatPath(field.path);
    if (part?.path !== path || (part.direction !== field.direction) !== reverse) break;
    if (!isSortable(binding.constraints, path)) {
      // Only inside one prefix is a single range enough to look for what breaks the order.
      if (at > 0) break;
      probes = probesOf(binding, part.direction);
    }
    followed++;
  }
  return { reverse, skipped: Math.max(skipped, 0), count: asked.length, followed, probes };
}

/** One fixed point that is no text: text is fixed only up to its case. */
function isConstant(binding: Binding, path: string): boolean {
  const constraint = binding.constraints.get(path);
  if (constraint?.kind !== 'points' || constraint.values.length !== 1) return false;
  const [value] = constraint.values;
  return value === null || typeof value !== 'object' ? typeof value !== 'string' : false;
}

function probesOf(binding: Binding, direction: 'asc' | 'desc'): readonly EncodedRange[] {
  const { fixedPrefix } = binding;
  const folded = towards(FOLDED, direction);
  const lower = Buffer.concat([fixedPrefix, folded.lower]);
  const upper =
    folded.upper === undefined
      ? prefixEnd(fixedPrefix)
      : Buffer.concat([fixedPrefix, folded.upper]);
  return binding.ranges.flatMap((range) => {
    const from = range.lower.compare(lower) < 0 ? lower : range.lower;
    const isRangeShorter =
      range.upper !== undefined && (upper === undefined || range.upper.compare(upper) < 0);
    const to = isRangeShorter ? range.upper : upper;
    return to === undefined || from.compare(to) < 0 ? [{ lower: from, upper: to }] : [];
  });
}

function boundaryOf(binding: Binding, place: SortKey, match: FieldMatch): Buffer | undefined {
  const parts = [binding.fixedPrefix];
  for (let at = 0; at < match.followed; at++) {
    const value = place.values[match.skipped + at];
    const field = binding.index.fields[binding.fixedFields + at];
    const component = value && field ? sortComponent(value, field.direction) : undefined;
    if (component === undefined) break;
    parts.push(component);
  }
  return parts.length === 1 ? undefined : Buffer.concat(parts);
}

/** The component of what sorting saw of a value; undefined for text, arrays and objects. */
function sortComponent(value: SortValue, direction: 'asc' | 'desc'): Buffer | undefined {
  const { rank } = value;
  if (rank === RANK.string || rank === RANK.array || rank === RANK.object) return undefined;
  const scalar: Json | undefined = typeof value.value === 'number' ? value.value : undefined;
  return scalar === undefined ? encodeTag(rank, direction) : encodeComponent(scalar, direction);
}
