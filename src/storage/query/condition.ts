import type { Json } from '../types.ts';
import { fold } from './compare.ts';
import type { Filter } from './filter.ts';
import { elementIndex, isSystemField } from './path.ts';
import type { Path, Selection } from './query.ts';

/**
 * A condition on one stored value that every match fulfils, for an engine that can test it more
 * cheaply than by parsing the body (`json_extract`). Leaving any of them out is always right.
 *
 * Paths name members of objects only. They hold for bodies in which no object repeats a member name.
 * - `number`: the value is a number from `min` to `max`, both inclusive and already widened against
 *   rounding; undefined is unbounded.
 * - `boolean`: the value is this boolean.
 * - `string`: the value is a string. `like` is a pattern for a LIKE that ignores ASCII case, with `%`,
 *   `_` and the escape `\`; a value that contains U+0000 must count as a match.
 * - `present`: the value is there, null included.
 */
export type Condition =
  | {
      readonly kind: 'number';
      readonly path: readonly string[];
      readonly min: number | undefined;
      readonly max: number | undefined;
    }
  | { readonly kind: 'boolean'; readonly path: readonly string[]; readonly value: boolean }
  | { readonly kind: 'string'; readonly path: readonly string[]; readonly like: string }
  | { readonly kind: 'present'; readonly path: readonly string[] };

/** How far a number is widened, relative to its size: engines may round the last digits otherwise. */
const WIDENING = 1e-12;
/** Larger numbers are left out: an engine may compare them as exact integers. */
const EXACT_MAX = 2 ** 53 - 1;
/** Longer text is cut; a pattern of this length narrows enough. */
const LIKE_CHARS_MAX = 200;

/** The conditions every match of a selection fulfils; empty when there are none an engine could test. */
export function conditionsOf(selection: Selection): readonly Condition[] {
  const aliases = new Set(selection.joins.map((join) => join.alias));
  return conjuncts(selection.filter).flatMap((leaf) => {
    const isStored = 'path' in leaf && isPlain(leaf.path) && !aliases.has(leaf.path[0] ?? '');
    const condition = isStored ? conditionOf(leaf) : undefined;
    return condition === undefined ? [] : [condition];
  });
}

function conjuncts(filter: Filter): readonly Filter[] {
  return filter.kind === 'and' ? filter.clauses.flatMap(conjuncts) : [filter];
}

/** Only members of objects: a number in a path could also be an element. */
function isPlain(path: Path): boolean {
  const isSystem = path.length === 1 && isSystemField(path[0]);
  return !isSystem && path.every((segment) => elementIndex(segment) === undefined);
}

function conditionOf(leaf: Filter): Condition | undefined {
  switch (leaf.kind) {
    case 'compare':
      return comparisonCondition(leaf);
    case 'startsWith':
      return { kind: 'string', path: leaf.path, like: `${likeOf(leaf.value)}%` };
    case 'endsWith':
      return { kind: 'string', path: leaf.path, like: `%${likeOf(leaf.value)}` };
    case 'regex':
      return { kind: 'string', path: leaf.path, like: '%' };
    case 'isNull':
      return { kind: 'present', path: leaf.path };
    case 'exists':
      return leaf.exists ? { kind: 'present', path: leaf.path } : undefined;
    default:
      return undefined;
  }
}

function comparisonCondition(leaf: Extract<Filter, { kind: 'compare' }>): Condition | undefined {
  const { path, op, value } = leaf;
  if (op === 'ne') return undefined;
  if (typeof value === 'number') return numberCondition(path, op, value);
  if (typeof value === 'string') {
    return { kind: 'string', path, like: op === 'eq' ? likeOf(value) : '%' };
  }
  return op === 'eq' && typeof value === 'boolean' ? { kind: 'boolean', path, value } : undefined;
}

function numberCondition(
  path: Path,
  op: 'eq' | 'gt' | 'gte' | 'lt' | 'lte',
  value: Extract<Json, number>,
): Condition | undefined {
  if (Math.abs(value) > EXACT_MAX) return undefined;
  const slack = Math.abs(value) * WIDENING + Number.MIN_VALUE;
  const hasMin = op !== 'lt' && op !== 'lte';
  const hasMax = op !== 'gt' && op !== 'gte';
  const min = hasMin ? value - slack : undefined;
  return { kind: 'number', path, min, max: hasMax ? value + slack : undefined };
}

/** ASCII letters in the folded form of characters outside ASCII: U+0130 and U+212A, the Kelvin sign. */
const FOLDED_FROM_OUTSIDE = 'ik';

/**
 * A pattern that matches every string that folds to `text` folded. What is not ASCII may stand for text
 * of another length.
 */
function likeOf(text: string): string {
  const folded = fold(text);
  let pattern = '';
  for (const character of folded.slice(0, LIKE_CHARS_MAX)) {
    if (FOLDED_FROM_OUTSIDE.includes(character)) pattern += '_';
    else if ('%_\\'.includes(character)) pattern += `\\${character}`;
    else pattern += character < '\u0080' && character !== '\0' ? character : '%';
  }
  return folded.length > LIKE_CHARS_MAX ? `${pattern}%` : pattern;
}
