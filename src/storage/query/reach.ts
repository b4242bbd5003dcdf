import type { KeyAccess } from '../types.ts';
import { compareStrings } from './compare.ts';
import type { Selection } from './query.ts';

/**
 * A run of keys: exactly one, or from `lower` (inclusive) to `upper` (exclusive; undefined: to the
 * end) in code point order.
 */
export type KeyRange =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'range'; readonly lower: string; readonly upper: string | undefined };

/** Which documents a selection can reach by their key alone: a list, or disjoint ascending ranges. */
export type Reach =
  | { readonly kind: 'keys'; readonly keys: readonly string[] }
  | { readonly kind: 'ranges'; readonly ranges: readonly KeyRange[] };

/** Reports whether access covers a key. An empty union covers nothing. */
export function covers(access: KeyAccess, key: string): boolean {
  if (access.kind === 'all') return true;
  return access.keys.includes(key) || access.prefixes.some((prefix) => key.startsWith(prefix));
}

/** Compiles the test whether a selection reaches a key: keys named, prefix and access together. */
export function compileReach(selection: Selection): (key: string) => boolean {
  const { access, keyPrefix } = selection;
  const named = selection.keys === undefined ? undefined : new Set(selection.keys);
  const granted = access.kind === 'all' ? undefined : new Set(access.keys);
  return (key) => {
    if (named !== undefined && !named.has(key)) return false;
    if (!key.startsWith(keyPrefix)) return false;
    if (access.kind === 'all' || granted?.has(key) === true) return true;
    return access.prefixes.some((prefix) => key.startsWith(prefix));
  };
}

/** Narrows a selection by keys, key prefix and access. Keys keep the order they were asked in. */
export function reachOf(selection: Selection): Reach {
  const { access, keyPrefix } = selection;
  if (selection.keys !== undefined) {
    const reaches = compileReach(selection);
    return { kind: 'keys', keys: [...new Set(selection.keys)].filter(reaches) };
  }
  if (access.kind === 'all') return { kind: 'ranges', ranges: [prefixRange(keyPrefix)] };
  const keys = access.keys.filter((key) => key.startsWith(keyPrefix));
  const prefixes = access.prefixes
    .filter((prefix) => prefix.startsWith(keyPrefix) || keyPrefix.startsWith(prefix))
    .map((prefix) => (prefix.length > keyPrefix.length ? prefix : keyPrefix));
  if (prefixes.length === 0) return { kind: 'keys', keys: [...new Set(keys)].sort(compareStrings) };
  return { kind: 'ranges', ranges: disjoint(keys, prefixes) };
}

/** Sorted, with every key or prefix left out that another prefix begins. */
function disjoint(keys: readonly string[], prefixes: readonly string[]): readonly KeyRange[] {
  const widest = [...new Set(prefixes)].filter(
    (prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)),
  );
  const single = [...new Set(keys)].filter(
    (key) => !widest.some((prefix) => key.startsWith(prefix)),
  );
  const ranges: KeyRange[] = [
    ...single.map((key): KeyRange => ({ kind: 'key', key })),
    ...widest.map(prefixRange),
  ];
  return ranges.sort((a, b) => compareStrings(startOf(a), startOf(b)));
}

function startOf(range: KeyRange): string {
  return range.kind === 'key' ? range.key : range.lower;
}

/** All keys that start with `prefix`. */
export function prefixRange(prefix: string): KeyRange {
  return { kind: 'range', lower: prefix, upper: textPrefixEnd(prefix) };
}

const LAST_CODE_POINT = 0x10ffff;
const SURROGATES_START = 0xd800;
const SURROGATES_END = 0xe000;

/** The smallest text after every text that starts with `prefix`; undefined when there is none. */
function textPrefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === LAST_CODE_POINT) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  const next = last + 1 === SURROGATES_START ? SURROGATES_END : last + 1;
  return String.fromCodePoint(...points, next);
}

/**
 * The ranges that hold the keys from `key` on (reverse: up to `key`), itself possibly included.
 */
export function rangesFrom(
  ranges: readonly KeyRange[],
  key: string,
  reverse: boolean,
): readonly KeyRange[] {
  return ranges.flatMap((range): KeyRange[] => {
    if (range.kind === 'key') {
      const order = compareStrings(range.key, key);
      return (reverse ? order < 0 : order > 0) ? [range] : [];
    }
    const { lower, upper } = range;
    if (reverse) {
      if (compareStrings(lower, key) >= 0) return [];
      const isCut = upper === undefined || compareStrings(key, upper) < 0;
      return [{ kind: 'range', lower, upper: isCut ? key : upper }];
    }
    if (upper !== undefined && compareStrings(upper, key) <= 0) return [];
    return [{ kind: 'range', lower: compareStrings(lower, key) < 0 ? key : lower, upper }];
  });
}
