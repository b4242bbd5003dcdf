import type { Json, JsonObject } from '../../storage/types.ts';
import { MATCH_ALL, type Filter } from '../../storage/query/filter.ts';
import { isArray, isObject } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import { parseFieldPath } from './field-path.ts';
import { FILTER_CLAUSES_MAX, FILTER_DEPTH_MAX } from './limits.ts';
import { COMBINATORS, FIELD_OPERATORS, invalid, parseClause, parseRegex } from './operator.ts';
import { nearest, refuse } from './refuse.ts';

/**
 * Parses a `where` into a filter; absent matches everything.
 *
 * Every clause is checked before anything is read: a malformed one is FILTER_INVALID, naming its path
 * such as `where.price.$gt`, what it got and what it wants, and an unknown operator names the nearest
 * known one. At most 32 levels, 1,000 clauses, 1,000 values per list, 1,000 characters per pattern.
 */
export function parseWhere(where: Json | undefined, field = 'where'): Filter {
  if (where === undefined) return MATCH_ALL;
  const parser = createParser();
  if (!isArray(where)) return parser.object(where, { field, depth: 1, inElement: false });
  const clauses = where.map((item, at) =>
    parser.object(item, { field: `${field}[${String(at)}]`, depth: 2, inElement: false }),
  );
  return { kind: 'and', clauses };
}

/** Where in the filter the parser is. */
interface Spot {
  readonly field: string;
  readonly depth: number;
  /** Inside `$elemMatch`, where an operator may stand on the element itself. */
  readonly inElement: boolean;
}

interface WhereParser {
  readonly object: (value: Json, spot: Spot) => Filter;
}

const ELEMENT: Path = [];

function createParser(): WhereParser {
  let clauses = 0;

  function count(field: string): void {
    if (++clauses <= FILTER_CLAUSES_MAX) return;
    const limit = String(FILTER_CLAUSES_MAX);
    throw refuse('FILTER_INVALID', field, `is one clause too many; the limit is ${limit}`);
  }

  function object(value: Json, spot: Spot): Filter {
    assertDepth(spot);
    if (!isObject(value)) throw invalid(spot.field, value, 'an object of conditions');
    const entries = Object.entries(value);
    const onElement = entries.filter(([name]) => spot.inElement && isFieldOnly(name));
    const parts = entries
      .filter(([name]) => !(spot.inElement && isFieldOnly(name)))
      .map(([name, operand]) => entry(name, operand, spot));
    if (onElement.length > 0) parts.push(operators(Object.fromEntries(onElement), ELEMENT, spot));
    return conjunction(parts);
  }

  function entry(name: string, operand: Json, spot: Spot): Filter {
    const field = `${spot.field}.${name}`;
    const below = { ...spot, field, depth: spot.depth + 1 };
    if (name.startsWith('$')) return combinator(name, operand, below);
    const path = parseFieldPath(name, { field, reason: 'FILTER_INVALID' });
    return condition(operand, path, below);
  }

  function combinator(name: string, operand: Json, spot: Spot): Filter {
    count(spot.field);
    if (name === '$not') return { kind: 'not', clause: object(operand, spot) };
    if (name !== '$and' && name !== '$or') throw unknownCombinator(name, spot);
    if (!isArray(operand) || operand.length === 0) {
      throw invalid(spot.field, operand, 'a list of at least one object of conditions');
    }
    const items = operand.map((item, at) =>
      object(item, { ...spot, field: `${spot.field}[${String(at)}]`, depth: spot.depth + 1 }),
    );
    return { kind: name === '$and' ? 'and' : 'or', clauses: items };
  }

  /** What stands after the name of a field: operators, or a literal to be equal to. */
  function condition(operand: Json, path: Path, spot: Spot): Filter {
    if (isObject(operand)) {
      const names = Object.keys(operand);
      if (names.length === 0) return MATCH_ALL;
      if (names.some((name) => name.startsWith('$'))) return operators(operand, path, spot);
    }
    count(spot.field);
    if (operand === null) return { kind: 'isNull', path };
    assertLiteralDepth(operand, spot);
    return { kind: 'compare', path, op: 'eq', value: operand };
  }

  function operators(operand: JsonObject, path: Path, spot: Spot): Filter {
    assertDepth(spot);
    const parts = Object.entries(operand).flatMap(([name, value]) => {
      const field = `${spot.field}.${name}`;
      const operator = FIELD_OPERATORS.get(name);
      if (operator === undefined) throw unknownOperator(name, field);
      count(field);
      const below = { ...spot, field, depth: spot.depth + 1 };
      switch (operator) {
        case '$options':
          if (!Object.hasOwn(operand, '$regex')) {
            throw refuse('FILTER_INVALID', field, 'stands alone; it goes beside $regex');
          }
          return [];
        case '$regex':
          return [parseRegex(path, { pattern: value, options: operand['$options'] }, spot.field)];
        case '$not':
          return [{ kind: 'not' as const, clause: negated(value, path, below) }];
        case '$elemMatch':
          return [
            { kind: 'elemMatch' as const, path, clause: object(value, { ...below, inElement: true }) },
          ];
        default:
          assertLiteralDepth(value, below);
          return [parseClause({ operator, path, operand: value, field })];
      }
    });
    return conjunction(parts);
  }

  function negated(operand: Json, path: Path, spot: Spot): Filter {
    if (isObject(operand) && Object.keys(operand).some((name) => name.startsWith('$'))) {
      return operators(operand, path, spot);
    }
    throw invalid(spot.field, operand, 'an object of operators such as {"$gt": 5}');
  }

  return { object };
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
