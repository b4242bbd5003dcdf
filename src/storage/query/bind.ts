import type { IndexField, IndexRecord } from '../types.ts';
import { constraintsOf, hullOf, towards, type Constraint, type Constraints } from './constraint.ts';
import { encodeComponent, prefixEnd } from './encode.ts';
import { isSystemField } from './path.ts';
import type { EncodedRange } from './plan-model.ts';
import type { Selection } from './query.ts';

/** The most ranges one walk may have; a longer list of points is walked as one range. */
export const RANGES_MAX = 100;

/** An index with its leading fields bound. */
export interface Binding {
  readonly index: IndexRecord;
  readonly constraints: Constraints;
  /** Disjoint, ascending. */
  readonly ranges: readonly EncodedRange[];
  /** The prefix of all ranges made by leading fields with exactly one point. */
  readonly fixedPrefix: Buffer;
  readonly fixedFields: number;
  readonly pointFields: number;
  /** 0: no interval; 1: only types; 2: open at one end; 3: closed. */
  readonly intervalWeight: number;
}

/** Constraints on what is stored in the document itself: not on joined documents. */
export function storedConstraints({ filter, joins }: Selection): Constraints {
  const aliases = new Set(joins.map((join) => join.alias));
  const kept = [...constraintsOf(filter)].filter(([path]) => {
    const [first] = path.split('.');
    return first === undefined || isSystemField(path) || !aliases.has(first);
  });
  return new Map(kept);
}

/**
 * Binds the leading fields of an index: fields with points multiply into prefixes, and the first field
 * with an interval bounds the walk and ends the binding.
 */
export function bind(index: IndexRecord, constraints: Constraints): Binding {
  let prefixes: readonly Buffer[] = [Buffer.alloc(0)];
  let fixedPrefix = Buffer.alloc(0);
  let fixedFields = 0;
  let pointFields = 0;
  for (const field of index.fields) {
    const constraint = constraints.get(field.path);
    const components = pointComponents(constraint, field);
    const isTooMany = components !== undefined && components.length * prefixes.length > RANGES_MAX;
    if (constraint === undefined || components === undefined || isTooMany) {
      const bounded = boundedRanges(prefixes, constraint, field);
      const weight = constraint === undefined ? 0 : intervalWeight(constraint);
      return {
        ...{ index, constraints, fixedPrefix, fixedFields, pointFields },
        ...{ ranges: bounded, intervalWeight: weight },
      };
    }
    prefixes = prefixes.flatMap((prefix) =>
      components.map((part) => Buffer.concat([prefix, part])),
    );
    if (components.length === 1 && fixedFields === pointFields) {
      fixedFields++;
      fixedPrefix = Buffer.from(prefixes[0] ?? fixedPrefix);
    }
    pointFields++;
  }
  const ranges = boundedRanges(prefixes, undefined, undefined);
  return { index, constraints, fixedPrefix, fixedFields, pointFields, ranges, intervalWeight: 0 };
}

/** The distinct components of a constraint's points, or undefined when it has none. */
function pointComponents(
  constraint: Constraint | undefined,
  field: IndexField,
): readonly Buffer[] | undefined {
  if (constraint?.kind !== 'points') return undefined;
  const distinct = new Map<string, Buffer>();
  for (const value of constraint.values) {
    const component = encodeComponent(value, field.direction);
    distinct.set(component.toString('latin1'), component);
  }
  return [...distinct.values()];
}

function boundedRanges(
  prefixes: readonly Buffer[],
  constraint: Constraint | undefined,
  field: IndexField | undefined,
): readonly EncodedRange[] {
  if (constraint === undefined || field === undefined) {
    return sorted(prefixes.map((prefix) => ({ lower: prefix, upper: prefixEnd(prefix) })));
  }
  const hull = hullOf(constraint);
  if (hull.lower.compare(hull.upper) >= 0) return [];
  const { lower, upper } = towards(hull, field.direction);
  return sorted(
    prefixes.map((prefix) => ({
      lower: Buffer.concat([prefix, lower]),
      upper: upper === undefined ? prefixEnd(prefix) : Buffer.concat([prefix, upper]),
    })),
  );
}

function sorted(ranges: readonly EncodedRange[]): readonly EncodedRange[] {
  return [...ranges].sort((a, b) => a.lower.compare(b.lower));
}

/** A bound of one byte is only the tag of a type. */
function intervalWeight(constraint: Constraint): number {
  const { lower, upper } = hullOf(constraint);
  return 1 + (lower.length === 1 ? 0 : 1) + (upper.length === 1 ? 0 : 1);
}
