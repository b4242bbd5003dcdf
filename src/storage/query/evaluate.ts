import { formatPath, isArray, valueAt } from './path.ts';
import { resolve, type Candidate } from './candidate.ts';
import { compareNumbers, compareStrings, deepEquals, equals, fold } from './compare.ts';
import type { Comparison, Filter } from './filter.ts';
import { compilePattern } from './pattern.ts';
import type { Path } from './query.ts';
import type { Json } from '../types.ts';

/** Decides one document. */
export type Matcher = (candidate: Candidate) => boolean;

/** Decides one value; `undefined` stands for a missing field. */
type Test = (value: Json | undefined) => boolean;

/** What a filter looks into: a document, or an element inside `elemMatch`. */
interface Subject<T> {
  readonly read: (path: Path, subject: T) => Json | undefined;
}

const DOCUMENT: Subject<Candidate> = { read: resolve };
const ELEMENT: Subject<Json> = { read: (path, element) => valueAt(element, path) };

/**
 * Compiles a filter once, patterns included; the matcher is pure and may be kept.
 *
 * FILTER_INVALID when a pattern does not compile or its program is too large.
 */
export function compileFilter(filter: Filter): Matcher {
  return compileFor(filter, DOCUMENT);
}

function compileFor<T>(filter: Filter, subject: Subject<T>): (value: T) => boolean {
  switch (filter.kind) {
    case 'and': {
      const clauses = filter.clauses.map((clause) => compileFor(clause, subject));
      return (value) => clauses.every((matches) => matches(value));
    }
    case 'or': {
      const clauses = filter.clauses.map((clause) => compileFor(clause, subject));
      return (value) => clauses.some((matches) => matches(value));
    }
    case 'not': {
      const matches = compileFor(filter.clause, subject);
      return (value) => !matches(value);
    }
    default: {
      const { path } = filter;
      const test = compileTest(filter);
      return (value) => test(subject.read(path, value));
    }
  }
}

type Leaf = Exclude<Filter, { readonly kind: 'and' | 'or' | 'not' }>;

function compileTest(leaf: Leaf): Test {
  switch (leaf.kind) {
    case 'compare':
      return compileComparison(leaf.op, leaf.value);
    case 'isNull':
      return (value) => value === null;
    case 'in':
      return compileMembership(leaf.values);
    case 'nin': {
      const isMember = compileMembership(leaf.values);
      return (value) => !isMember(value);
    }
    case 'contains':
      return compileContains(leaf.value);
    case 'all':
      return onArray((items) => leaf.values.every((wanted) => holds(items, wanted)));
    case 'exists':
      return (value) => (value !== undefined) === leaf.exists;
    case 'startsWith': {
      const start = fold(leaf.value);
      return onString((text) => fold(text).startsWith(start));
    }
    case 'endsWith': {
      const end = fold(leaf.value);
      return onString((text) => fold(text).endsWith(end));
    }
    case 'regex':
      return onString(compilePattern(leaf.pattern, leaf.flags, formatPath(leaf.path)));
    case 'size':
      return onArray((items) => items.length === leaf.size);
    case 'elemMatch': {
      const matches = compileFor(leaf.clause, ELEMENT);
      return onArray((items) => items.some(matches));
    }
  }
}

function onString(test: (text: string) => boolean): Test {
  return (value) => typeof value === 'string' && test(value);
}

function onArray(test: (items: readonly Json[]) => boolean): Test {
  return (value) => isArray(value) && test(value);
}

function holds(items: readonly Json[], wanted: Json): boolean {
  return items.some((item) => deepEquals(item, wanted));
}

function compileComparison(op: Comparison, operand: Json): Test {
  switch (op) {
    case 'eq':
      return compileEquality(operand);
    case 'ne': {
      const isEqual = compileEquality(operand);
      return (value) => !isEqual(value);
    }
    case 'gt':
      return compileRange(operand, (order) => order > 0);
    case 'gte':
      return compileRange(operand, (order) => order >= 0);
    case 'lt':
      return compileRange(operand, (order) => order < 0);
    case 'lte':
      return compileRange(operand, (order) => order <= 0);
  }
}

function compileEquality(operand: Json): Test {
  if (typeof operand !== 'string') return (value) => equals(value, operand);
  const wanted = fold(operand);
  return onString((text) => text === operand || fold(text) === wanted);
}

/** Numbers compare with numbers and folded strings with strings; nothing else has a range. */
function compileRange(operand: Json, accepts: (order: number) => boolean): Test {
  if (typeof operand === 'number') {
    return (value) => typeof value === 'number' && accepts(compareNumbers(value, operand));
  }
  if (typeof operand !== 'string') return () => false;
  const bound = fold(operand);
  return onString((text) => accepts(compareStrings(fold(text), bound)));
}

/** One set lookup for scalars; a walk only for arrays and objects in the list. */
function compileMembership(values: readonly Json[]): Test {
  const scalars = new Set<Json>();
  const structures: Json[] = [];
  for (const value of values) {
    if (typeof value === 'string') scalars.add(fold(value));
    else if (value !== null && typeof value === 'object') structures.push(value);
    else scalars.add(value);
  }
  return (value) => {
    if (typeof value === 'string') return scalars.has(fold(value));
    if (value === undefined || value === null) return scalars.has(null);
    if (typeof value !== 'object') return scalars.has(value);
    return structures.some((wanted) => deepEquals(value, wanted));
  };
}

/** A string holds a string as a folded part; an array holds a value as an exact element. */
function compileContains(wanted: Json): Test {
  const part = typeof wanted === 'string' ? fold(wanted) : undefined;
  return (value) => {
    if (typeof value === 'string') return part !== undefined && fold(value).includes(part);
    return isArray(value) && holds(value, wanted);
  };
}
