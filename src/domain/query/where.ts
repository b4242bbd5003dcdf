import { nearest } from '../../platform/nearest.ts';
import type { Json, JsonObject } from '../../storage/types.ts';
import { MATCH_ALL, type Filter } from '../../storage/query/filter.ts';
import { isArray, isObject } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import { parseFieldPath } from './field-path.ts';
import { FILTER_CLAUSES_MAX, FILTER_DEPTH_MAX } from './limits.ts';
import {
  COMBINATORS,
  FIELD_OPERATORS,
  invalid,
  parseClause,
  parseRegex,
  type FieldOperator,
} from './operator.ts';
import { refuse } from './refuse.ts';

/**
 * Parses a `where` into a filter; absent matches everything.
 *
 * Every clause is checked before anything is read: a malformed one is FILTER_INVALID, naming its path
 * such as `where.price.$gt`, what it got and what it wants, and an unknown operator names the nearest
 * known one. At most 32 levels, 1,000 clauses, 1,000 values per list, 1,000 characters per pattern.
 */
export function parseWhere(where: Json | undefined, field = 'where'): Filter {
  if (where === undefined) return MATCH_ALL;
  const place: Place = { field, depth: 1, inElement: false, count: createCounter() };
  if (!isArray(where)) return parseObject(where, place);
  const clauses = where.map((item, at) => parseObject(item, inside(place, `[${String(at)}]`)));
  return { kind: 'and', clauses };
}

/** Where in the filter the parser is. */
interface Spot {
  readonly field: string;
  readonly depth: number;
  /** Inside `$elemMatch`, where an operator may stand on the element itself. */
  readonly inElement: boolean;
}

/** Counts the clauses of one filter. */
type Counter = (field: string) => void;

/** What every part of the parser needs. */
interface Place extends Spot {
  readonly count: Counter;
}

const ELEMENT: Path = [];

function createCounter(): Counter {
  let clauses = 0;
  return (field) => {
    if (++clauses <= FILTER_CLAUSES_MAX) return;
    const limit = String(FILTER_CLAUSES_MAX);
    throw refuse('FILTER_INVALID', field, `is one clause too many; the limit is ${limit}`);
  };
}

function parseObject(value: Json, place: Place): Filter {
  assertDepth(place);
  if (!isObject(value)) throw invalid(place.field, value, 'an object of conditions');
  const isOnElement = (name: string) => place.inElement && isFieldOnly(name);
  const entries = Object.entries(value);
  const onElement = entries.filter(([name]) => isOnElement(name));
  const parts = entries
    .filter(([name]) => !isOnElement(name))
    .map(([name, operand]) => parseEntry(name, operand, place));
  if (onElement.length > 0) {
    parts.push(parseOperators(Object.fromEntries(onElement), ELEMENT, place));
  }
  return conjunction(parts);
}

function parseEntry(name: string, operand: Json, place: Place): Filter {
  const below = inside(place, `.${name}`);
  if (name.startsWith('$')) return parseCombinator(name, operand, below);
  const path = parseFieldPath(name, { field: below.field, reason: 'FILTER_INVALID' });
  return parseCondition(operand, path, below);
}

function parseCombinator(name: string, operand: Json, place: Place): Filter {
  place.count(place.field);
  if (name === '$not') return { kind: 'not', clause: parseObject(operand, place) };
  if (name !== '$and' && name !== '$or') throw unknownCombinator(name, place);
  if (!isArray(operand) || operand.length === 0) {
    throw invalid(place.field, operand, 'a list of at least one object of conditions');
  }
  const clauses = operand.map((item, at) => parseObject(item, inside(place, `[${String(at)}]`)));
  return { kind: name === '$and' ? 'and' : 'or', clauses };
}

/** What stands after the name of a field: operators, or a literal to be equal to. */
function parseCondition(operand: Json, path: Path, place: Place): Filter {
  if (isObject(operand)) {
    const names = Object.keys(operand);
    if (names.length === 0) return MATCH_ALL;
    if (names.some((name) => name.startsWith('$'))) return parseOperators(operand, path, place);
  }
  place.count(place.field);
  if (operand === null) return { kind: 'isNull', path };
  assertLiteralDepth(operand, place);
  return { kind: 'compare', path, op: 'eq', value: operand };
}

function parseOperators(operands: JsonObject, path: Path, place: Place): Filter {
  assertDepth(place);
  if (Object.hasOwn(operands, '$options') && !Object.hasOwn(operands, '$regex')) {
    const problem = 'stands alone; it goes beside $regex';
    throw refuse('FILTER_INVALID', `${place.field}.$options`, problem);
  }
  const parts = Object.keys(operands).flatMap((name) => {
    const below = inside(place, `.${name}`);
    const operator = FIELD_OPERATORS.get(name);
    if (operator === undefined) throw unknownOperator(name, below.field);
    place.count(below.field);
    if (operator === '$options') return [];
    if (operator === '$regex') {
      const pattern = operands[name] ?? null;
      return [parseRegex(path, { pattern, options: operands['$options'] }, place.field)];
    }
    return [parseOperator(operator, { operand: operands[name] ?? null, path }, below)];
  });
  return conjunction(parts);
}

function parseOperator(
  operator: Exclude<FieldOperator, '$regex' | '$options'>,
  { operand, path }: { readonly operand: Json; readonly path: Path },
  place: Place,
): Filter {
  switch (operator) {
    case '$not':
      return { kind: 'not', clause: parseNegated(operand, path, place) };
    case '$elemMatch':
      return {
        kind: 'elemMatch',
        path,
        clause: parseObject(operand, { ...place, inElement: true }),
      };
    default:
      assertLiteralDepth(operand, place);
      return parseClause({ operator, path, operand, field: place.field });
  }
}

function parseNegated(operand: Json, path: Path, place: Place): Filter {
  if (isObject(operand) && Object.keys(operand).some((name) => name.startsWith('$'))) {
    return parseOperators(operand, path, place);
  }
  throw invalid(place.field, operand, 'an object of operators such as {"$gt": 5}');
}

/** One level down; `step` is what the path of the clause gains. */
function inside(place: Place, step: string): Place {
  return { ...place, field: `${place.field}${step}`, depth: place.depth + 1 };
}

function conjunction(parts: readonly Filter[]): Filter {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : { kind: 'and', clauses: parts };
}

/** An operator that stands on a field and combines nothing. */
function isFieldOnly(name: string): boolean {
  return FIELD_OPERATORS.has(name) && name !== '$not';
}

function assertDepth({ field, depth }: Spot): void {
  if (depth <= FILTER_DEPTH_MAX) return;
  const limit = String(FILTER_DEPTH_MAX);
  throw refuse('FILTER_INVALID', field, `is nested too deep; the limit is ${limit} levels`);
}

function assertLiteralDepth(value: Json, spot: Spot): void {
  if (value === null || typeof value !== 'object') return;
  assertDepth(spot);
  const items = isArray(value) ? value : Object.values(value);
  for (const item of items) assertLiteralDepth(item, { ...spot, depth: spot.depth + 1 });
}

function unknownCombinator(name: string, spot: Spot): Error {
  if (FIELD_OPERATORS.has(name)) {
    const example = `{"price": {${JSON.stringify(name)}: …}}`;
    const problem = `is an operator on a field; write the field around it: ${example}`;
    return refuse('FILTER_INVALID', spot.field, problem);
  }
  const known = spot.inElement ? [...COMBINATORS, ...FIELD_OPERATORS.keys()] : COMBINATORS;
  return unknown(name, spot.field, known);
}

function unknownOperator(name: string, field: string): Error {
  if (!name.startsWith('$')) {
    const problem = 'is the name of a member among operators; use one or the other';
    return refuse('FILTER_INVALID', field, problem);
  }
  if (name === '$and' || name === '$or') {
    const example = `{${JSON.stringify(name)}: [{"price": …}, …]}`;
    const problem = `combines whole conditions; write it around the field: ${example}`;
    return refuse('FILTER_INVALID', field, problem);
  }
  return unknown(name, field, [...FIELD_OPERATORS.keys()]);
}

function unknown(name: string, field: string, known: readonly string[]): Error {
  const near = nearest(name, known);
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
  return refuse('FILTER_INVALID', field, `is an unknown operator; ${hint}`);
}
