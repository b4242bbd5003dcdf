import type { Json } from '../../storage/types.ts';
import type { Filter } from '../../storage/query/filter.ts';
import { compilePattern } from '../../storage/query/pattern.ts';
import type { Path } from '../../storage/query/query.ts';
import { FILTER_VALUES_MAX } from './limits.ts';
import { nameOf, refuse } from './refuse.ts';

/** An operator on a field that takes one operand, in its canonical spelling. */
type ValueOperator =
  | '$eq'
  | '$ne'
  | '$gt'
  | '$gte'
  | '$lt'
  | '$lte'
  | '$in'
  | '$nin'
  | '$contains'
  | '$startsWith'
  | '$endsWith'
  | '$exists'
  | '$size'
  | '$all';

/** An operator on a field. `$not`, `$elemMatch`, `$regex` and `$options` need their surroundings. */
export type FieldOperator = ValueOperator | '$not' | '$elemMatch' | '$regex' | '$options';

/** Every spelling of every operator on a field. */
export const FIELD_OPERATORS: ReadonlyMap<string, FieldOperator> = new Map<string, FieldOperator>([
  ['$eq', '$eq'],
  ['$equals', '$eq'],
  ['$ne', '$ne'],
  ['$notEquals', '$ne'],
  ['$gt', '$gt'],
  ['$greaterThan', '$gt'],
  ['$gte', '$gte'],
  ['$greaterThanOrEqual', '$gte'],
  ['$lt', '$lt'],
  ['$lessThan', '$lt'],
  ['$lte', '$lte'],
  ['$lessThanOrEqual', '$lte'],
  ['$in', '$in'],
  ['$oneOf', '$in'],
  ['$nin', '$nin'],
  ['$notIn', '$nin'],
  ['$ct', '$contains'],
  ['$contains', '$contains'],
  ['$startsWith', '$startsWith'],
  ['$endsWith', '$endsWith'],
  ['$exists', '$exists'],
  ['$size', '$size'],
  ['$all', '$all'],
  ['$not', '$not'],
  ['$elemMatch', '$elemMatch'],
  ['$regex', '$regex'],
  ['$options', '$options'],
]);

/** The operators that combine whole filters. */
export const COMBINATORS = ['$and', '$or', '$not'] as const;

/** One clause: its operand, the field it is on, and its own path for errors. */
export interface Clause {
  readonly operator: ValueOperator;
  readonly path: Path;
  readonly operand: Json;
  readonly field: string;
}

/** Makes the condition of one clause; FILTER_INVALID when the operand is not what it wants. */
export function parseClause({ operator, path, operand, field }: Clause): Filter {
  switch (operator) {
    case '$eq':
    case '$ne':
      return { kind: 'compare', path, op: operator === '$eq' ? 'eq' : 'ne', value: operand };
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte':
      return { kind: 'compare', path, op: RANGES[operator], value: wantOrdered(operand, field) };
    case '$in':
      return { kind: 'in', path, values: wantList(operand, field, 0) };
    case '$nin':
      return { kind: 'nin', path, values: wantList(operand, field, 0) };
    case '$all':
      return { kind: 'all', path, values: wantList(operand, field, 1) };
    case '$contains':
      return { kind: 'contains', path, value: operand };
    case '$startsWith':
      return { kind: 'startsWith', path, value: wantText(operand, field) };
    case '$endsWith':
      return { kind: 'endsWith', path, value: wantText(operand, field) };
    case '$exists':
      return { kind: 'exists', path, exists: wantBoolean(operand, field) };
    case '$size':
      return { kind: 'size', path, size: wantSize(operand, field) };
  }
}

const RANGES = { $gt: 'gt', $gte: 'gte', $lt: 'lt', $lte: 'lte' } as const;

/** Makes the condition of `$regex` with its `$options`. */
export function parseRegex(
  path: Path,
  operands: { readonly pattern: Json; readonly options: Json | undefined },
  field: string,
): Filter {
  const pattern = wantText(operands.pattern, `${field}.$regex`);
  const flags =
    operands.options === undefined ? '' : wantText(operands.options, `${field}.$options`);
  compilePattern(pattern, flags, `${field}.$regex`);
  return { kind: 'regex', path, pattern, flags };
}

function wantOrdered(operand: Json, field: string): number | string {
  if (typeof operand === 'number' || typeof operand === 'string') return operand;
  throw invalid(field, operand, 'a number or a string');
}

function wantText(operand: Json, field: string): string {
  if (typeof operand === 'string') return operand;
  throw invalid(field, operand, 'a string');
}

function wantBoolean(operand: Json, field: string): boolean {
  if (typeof operand === 'boolean') return operand;
  throw invalid(field, operand, 'true or false');
}

function wantSize(operand: Json, field: string): number {
  if (typeof operand === 'number' && Number.isSafeInteger(operand) && operand >= 0) return operand;
  throw invalid(field, operand, 'a whole number from 0');
}

function wantList(operand: Json, field: string, valuesMin: number): readonly Json[] {
  const wanted = `a list of ${String(valuesMin)} to ${String(FILTER_VALUES_MAX)} values`;
  if (!Array.isArray(operand)) throw invalid(field, operand, wanted);
  const values = operand as readonly Json[];
  const isInBounds = values.length >= valuesMin && values.length <= FILTER_VALUES_MAX;
  if (!isInBounds) throw invalid(field, operand, wanted);
  return values;
}

/** FILTER_INVALID: what the clause got and what it wants. */
export function invalid(field: string, got: unknown, wanted: string): Error {
  return refuse('FILTER_INVALID', field, `is ${nameOf(got)}; wants ${wanted}`);
}
