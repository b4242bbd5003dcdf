/**
 * What a filter demands of single fields, read off for an index: for each path the points or the one
 * interval of encoded components that hold every match. Anything that cannot be read off is left out,
 * because leaving out only widens the walk.
 */
import type { Json } from '../types.ts';
import { RANK, type Rank } from './compare.ts';
import {
  encodeComponent,
  encodeTag,
  encodeTextPrefix,
  encodeTruncated,
  isTruncated,
  prefixEnd,
} from './encode.ts';
import type { Filter } from './filter.ts';
import { formatPath } from './path.ts';

/** What every match fulfils at one path. */
export type Constraint =
  /** Equals one of these; `undefined` stands for missing. */
  { readonly kind: 'points'; readonly values: readonly (Json | undefined)[] } | Interval;

/** An interval of ascending components, `lower` inclusive and `upper` exclusive. */
export interface Interval {
  readonly kind: 'interval';
  readonly lower: Buffer;
  readonly upper: Buffer;
}

/** Constraints by dotted path. */
export type Constraints = ReadonlyMap<string, Constraint>;

type Leaf = Exclude<Filter, { readonly kind: 'and' | 'or' | 'not' }>;

/** Reads the constraints off a filter. Paths under the alias of a join are the caller's to leave out. */
export function constraintsOf(filter: Filter): Constraints {
  switch (filter.kind) {
    case 'and':
      return filter.clauses.map(constraintsOf).reduce(both, new Map<string, Constraint>());
    case 'or': {
      const [first, ...others] = filter.clauses.map(constraintsOf);
      return first === undefined ? new Map<string, Constraint>() : others.reduce(either, first);
    }
    case 'not':
      return new Map<string, Constraint>();
    default: {
      const constraint = leafConstraint(filter);
      if (constraint === undefined) return new Map<string, Constraint>();
      return new Map([[formatPath(filter.path), constraint]]);
    }
  }
}

function leafConstraint(leaf: Leaf): Constraint | undefined {
  switch (leaf.kind) {
    case 'compare':
      return comparisonConstraint(leaf.op, leaf.value);
    case 'isNull':
      return { kind: 'points', values: [null] };
    case 'in':
      return { kind: 'points', values: leaf.values.flatMap(pointsOf) };
    case 'exists':
      return leaf.exists
        ? between(RANK.null, RANK.missing)
        : { kind: 'points', values: [undefined] };
    case 'startsWith': {
      const lower = encodeTextPrefix(leaf.value, 'asc');
      return interval(lower, prefixEnd(lower) ?? encodeTag(RANK.array, 'asc'));
    }
    case 'endsWith':
    case 'regex':
      return between(RANK.string, RANK.array);
    case 'contains':
      return between(RANK.string, RANK.object);
    case 'all':
    case 'size':
    case 'elemMatch':
      return between(RANK.array, RANK.object);
    case 'nin':
      return undefined;
  }
}

/** A missing field equals null. */
function pointsOf(value: Json): readonly (Json | undefined)[] {
  return value === null ? [null, undefined] : [value];
}

type Comparing = Extract<Leaf, { kind: 'compare' }>;

function comparisonConstraint(op: Comparing['op'], value: Json): Constraint | undefined {
  if (op === 'eq') return { kind: 'points', values: pointsOf(value) };
  if (op === 'ne') return value === null ? between(RANK.false, RANK.missing) : undefined;
  if (typeof value === 'number') {
    const start = encodeComponent(value, 'asc');
    return rangeOf(op, { whole: between(RANK.number, RANK.string), start, isBlurred: false });
  }
  if (typeof value !== 'string') return { kind: 'points', values: [] };
  const isBlurred = isTruncated(value);
  const start = isBlurred ? encodeTruncated(value) : encodeComponent(value, 'asc');
  return rangeOf(op, { whole: between(RANK.string, RANK.array), start, isBlurred });
}

/** What a range starts or ends at. */
interface RangeBound {
  /** All values of the type. */
  readonly whole: Interval;
  /** The component, or the prefix, of the value itself. */
  readonly start: Buffer;
  /** The prefix holds smaller and greater values as well, so both sides keep it. */
  readonly isBlurred: boolean;
}

function rangeOf(
  op: Exclude<Comparing['op'], 'eq' | 'ne'>,
  { whole, start, isBlurred }: RangeBound,
): Interval {
  const end = prefixEnd(start) ?? whole.upper;
  switch (op) {
    case 'gt':
      return interval(isBlurred ? start : end, whole.upper);
    case 'gte':
      return interval(start, whole.upper);
    case 'lt':
      return interval(whole.lower, isBlurred ? end : start);
    case 'lte':
      return interval(whole.lower, end);
  }
}

function interval(lower: Buffer, upper: Buffer): Interval {
  return { kind: 'interval', lower, upper };
}

/** All values of the types from `first` (inclusive) to `end` (exclusive). */
export function between(first: Rank, end: Rank): Interval {
  return interval(encodeTag(first, 'asc'), encodeTag(end, 'asc'));
}

function both(a: Constraints, b: Constraints): Constraints {
  const merged = new Map(a);
  for (const [path, constraint] of b) {
    const other = merged.get(path);
    merged.set(path, other === undefined ? constraint : intersect(other, constraint));
  }
  return merged;
}

function either(a: Constraints, b: Constraints): Constraints {
  const merged = new Map<string, Constraint>();
  for (const [path, constraint] of a) {
    const other = b.get(path);
    if (other !== undefined) merged.set(path, unite(constraint, other));
  }
  return merged;
}

function intersect(a: Constraint, b: Constraint): Constraint {
  if (a.kind === 'interval' && b.kind === 'interval') {
    return interval(larger(a.lower, b.lower), smaller(a.upper, b.upper));
  }
  if (a.kind === 'points' && b.kind === 'points') return a.values.length <= b.values.length ? a : b;
  return a.kind === 'points' ? a : b;
}

function unite(a: Constraint, b: Constraint): Constraint {
  if (a.kind === 'points' && b.kind === 'points') {
    return { kind: 'points', values: [...a.values, ...b.values] };
  }
  const hullA = hullOf(a);
  const hullB = hullOf(b);
  return interval(smaller(hullA.lower, hullB.lower), larger(hullA.upper, hullB.upper));
}

/** The smallest interval that holds a constraint. */
export function hullOf(constraint: Constraint): Interval {
  if (constraint.kind === 'interval') return constraint;
  const components = constraint.values
    .map((value) => encodeComponent(value, 'asc'))
    .sort((a, b) => a.compare(b));
  const [first] = components;
  const last = components.at(-1);
  if (first === undefined || last === undefined) return interval(Buffer.alloc(0), Buffer.alloc(0));
  return interval(first, prefixEnd(last) ?? last);
}

/** Reports whether a constraint leaves only types whose encoded order is their sort order. */
export function keepsSortOrder(constraint: Constraint): boolean {
  const { lower, upper } = hullOf(constraint);
  if (lower.compare(upper) >= 0) return true;
  const strings = encodeTag(RANK.string, 'asc');
  const missing = encodeTag(RANK.missing, 'asc');
  return upper.compare(strings) <= 0 || lower.compare(missing) >= 0;
}

/**
 * The same interval among components of a direction. No component is a proper prefix of a bound, so
 * complementing swaps the bounds and turns «from» into «up to all that start with».
 */
export function towards(
  { lower, upper }: Interval,
  direction: 'asc' | 'desc',
): { readonly lower: Buffer; readonly upper: Buffer | undefined } {
  if (direction === 'asc') return { lower, upper };
  return {
    lower: prefixEnd(complement(upper)) ?? Buffer.alloc(0),
    upper: prefixEnd(complement(lower)),
  };
}

function complement(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => ~byte));
}

function larger(a: Buffer, b: Buffer): Buffer {
  return a.compare(b) >= 0 ? a : b;
}

function smaller(a: Buffer, b: Buffer): Buffer {
  return a.compare(b) <= 0 ? a : b;
}
