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

/** Applies transforms of one document, one after the other. */
export interface Transforming {
  /** PATCH_INVALID when the field has a type that the transform does not take. */
  apply(body: JsonObject, transform: Transform): JsonObject;
}

/** Starts with the time that `serverTime` sets, in Unix milliseconds. */
export function createTransforming(nowMs: number): Transforming {
  const lists = new ListChanges();
  return {
    apply(body, transform) {
      const { path } = transform;
      return setAt(body, path, next(valueAt(body, path), transform, { nowMs, lists }));
    },
  };
}

interface Tools {
  readonly nowMs: number;
  readonly lists: ListChanges;
}

function next(
  current: Json | undefined,
  transform: Transform,
  { nowMs, lists }: Tools,
): Json | undefined {
  switch (transform.kind) {
    case 'increment':
      return increment(current, transform);
    case 'minimum':
      return extreme(current, transform.value, -1);
    case 'maximum':
      return extreme(current, transform.value, 1);
    case 'appendMissing':
      return lists.appendMissing(listOf(current, transform), transform.values);
    case 'removeAll':
      return lists.removeAll(listOf(current, transform), transform.values);
    case 'serverTime':
      return formatTime(nowMs);
    case 'unset':
      return undefined;
  }
}

/**
 * Changes of lists by value. The texts by which the items of a list are compared are made once, however
 * many transforms of one document go over it.
 */
class ListChanges {
  readonly #textsOf = new WeakMap<readonly Json[], readonly string[]>();

  appendMissing(list: readonly Json[], values: readonly Json[]): Json {
    const texts = this.#texts(list);
    const held = new Set(texts);
    const added = values.filter((value) => {
      const text = canonicalText(value);
      return !held.has(text) && held.add(text);
    });
    if (added.length === 0) return list;
    return this.#remember([...list, ...added], [...texts, ...added.map(canonicalText)]);
  }

  removeAll(list: readonly Json[], values: readonly Json[]): Json {
    const texts = this.#texts(list);
    const unwanted = new Set(values.map(canonicalText));
    const kept = texts.flatMap((text, at) => (unwanted.has(text) ? [] : [at]));
    if (kept.length === list.length) return list;
    const items = kept.flatMap((at) => list.slice(at, at + 1));
    return this.#remember(
      items,
      kept.map((at) => texts[at] ?? ''),
    );
  }

  #texts(list: readonly Json[]): readonly string[] {
    const known = this.#textsOf.get(list);
    if (known !== undefined) return known;
    const texts = list.map(canonicalText);
    this.#textsOf.set(list, texts);
    return texts;
  }

  #remember(list: readonly Json[], texts: readonly string[]): Json {
    this.#textsOf.set(list, texts);
    return list;
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
