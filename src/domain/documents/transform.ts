import { DomainError } from '../../errors/domain-error.ts';
import { formatTime } from '../../storage/query/candidate.ts';
import { compareValues } from '../../storage/query/compare.ts';
import { canonicalText } from '../../storage/query/encode.ts';
import { formatPath, isArray, valueAt } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { Json, JsonObject } from '../../storage/types.ts';
import { setAt } from './set-at.ts';

/** One atomic change of one field. */
export type Transform =
  | { readonly kind: 'increment'; readonly path: Path; readonly by: number }
  | { readonly kind: 'minimum' | 'maximum'; readonly path: Path; readonly value: Json }
  | {
      readonly kind: 'appendMissing' | 'removeAll';
      readonly path: Path;
      readonly values: readonly Json[];
    }
  | { readonly kind: 'serverTime' | 'unset'; readonly path: Path };

/** Applies one transform. PATCH_INVALID when the field has a type that it does not take. */
export function applyTransform(body: JsonObject, transform: Transform, nowMs: number): JsonObject {
  const { path } = transform;
  return setAt(body, path, next(valueAt(body, path), transform, nowMs));
}

function next(current: Json | undefined, transform: Transform, nowMs: number): Json | undefined {
  switch (transform.kind) {
    case 'increment':
      return increment(current, transform);
    case 'minimum':
      return extreme(current, transform.value, -1);
    case 'maximum':
      return extreme(current, transform.value, 1);
    case 'appendMissing':
      return appendMissing(listOf(current, transform), transform.values);
    case 'removeAll':
      return removeAll(listOf(current, transform), transform.values);
    case 'serverTime':
      return formatTime(nowMs);
    case 'unset':
      return undefined;
  }
}

function increment(
  current: Json | undefined,
  { path, by }: Extract<Transform, { kind: 'increment' }>,
): number {
  const start = current ?? 0;
  if (typeof start !== 'number' || current === null) throw wrongType(path, 'a number', 'increment');
  const sum = start + by;
  if (Number.isFinite(sum)) return sum;
  throw new DomainError('PATCH_INVALID', `'${formatPath(path)}' would pass the largest number`, {
    metadata: { field: formatPath(path) },
  });
}

function extreme(current: Json | undefined, value: Json, sign: 1 | -1): Json {
  if (current === undefined) return value;
  return Math.sign(compareValues(value, current)) === sign ? value : current;
}

function appendMissing(list: readonly Json[], values: readonly Json[]): Json {
  const held = new Set(list.map(canonicalText));
  const added = values.filter((value) => {
    const text = canonicalText(value);
    return !held.has(text) && held.add(text);
  });
  return [...list, ...added];
}

function removeAll(list: readonly Json[], values: readonly Json[]): Json {
  const unwanted = new Set(values.map(canonicalText));
  return list.filter((item) => !unwanted.has(canonicalText(item)));
}

function listOf(current: Json | undefined, { path, kind }: Transform): readonly Json[] {
  if (current === undefined) return [];
  if (isArray(current)) return current;
  throw wrongType(path, 'a list', kind);
}

function wrongType(path: Path, wanted: string, transform: string): DomainError {
  const field = formatPath(path);
  return new DomainError(
    'PATCH_INVALID',
    `'${field}' is not ${wanted}; ${transform} takes only that`,
    {
      metadata: { field, transform },
    },
  );
}
