import type { Json } from '../types.ts';
import type { Path } from './query.ts';

/** The longest dotted path, in characters. */
export const PATH_CHARS_MAX = 128;
/** The deepest path, in segments. */
export const PATH_SEGMENTS_MAX = 32;

/** The system fields: addressed by these names as first and only segment. */
export const SYSTEM_FIELDS = [
  '_key',
  '_v',
  '_seq',
  '_createdAt',
  '_modifiedAt',
  '_expiresAt',
] as const;

/** The name of one system field. */
export type SystemField = (typeof SYSTEM_FIELDS)[number];

const SEGMENT = /^[A-Za-z0-9_-]+$/;
const ELEMENT = /^(?:0|[1-9][0-9]{0,8})$/;

/**
 * Parses a dotted path such as `specs.cpu.cores` or `tags.0`.
 *
 * Returns undefined when it is empty, longer than 128 characters, deeper than 32 segments, has an
 * empty segment, or a character other than `A-Z a-z 0-9 _ -` in a segment. `__proto__` and
 * `constructor` are ordinary names.
 */
export function parsePath(text: string): Path | undefined {
  if (text.length > PATH_CHARS_MAX) return undefined;
  const segments = text.split('.');
  if (segments.length > PATH_SEGMENTS_MAX) return undefined;
  return segments.every((segment) => SEGMENT.test(segment)) ? segments : undefined;
}

/** The dotted form of a path; the inverse of `parsePath`. The empty path is the empty string. */
export function formatPath(path: Path): string {
  return path.join('.');
}

/** Reports whether `name` addresses a system field. */
export function isSystemField(name: string | undefined): name is SystemField {
  return (SYSTEM_FIELDS as readonly (string | undefined)[]).includes(name);
}

/** The element a segment addresses in an array, or undefined when it is no decimal number. */
export function elementIndex(segment: string): number | undefined {
  return ELEMENT.test(segment) ? Number(segment) : undefined;
}

/**
 * The value at `path` inside `value`, or undefined when it is missing. Looks at own members only. The
 * empty path is the value itself. A decimal segment addresses an element of an array and a member of
 * an object; no other segment descends into an array.
 */
export function valueAt(value: Json | undefined, path: Path, from = 0): Json | undefined {
  let current = value;
  for (let depth = from; depth < path.length; depth++) {
    if (current === null || typeof current !== 'object') return undefined;
    current = memberOf(current, path[depth] ?? '');
  }
  return current;
}

/** One own member of an object, or one element of an array; undefined when there is none. */
export function memberOf(
  value: readonly Json[] | { readonly [name: string]: Json },
  segment: string,
): Json | undefined {
  if (isArray(value)) {
    const index = elementIndex(segment);
    return index === undefined ? undefined : value[index];
  }
  return Object.hasOwn(value, segment) ? value[segment] : undefined;
}

/** `Array.isArray` that also narrows readonly arrays. */
export function isArray(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
}

/** Reports whether `value` is a JSON object: not null and not an array. */
export function isObject(value: unknown): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
