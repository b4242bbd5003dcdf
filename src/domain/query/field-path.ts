import type { Reason } from '../../errors/reason.ts';
import { parsePath, PATH_CHARS_MAX, PATH_SEGMENTS_MAX } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import { nameOf, refuse } from './refuse.ts';

/** Where a path was found, for the error. */
export interface FieldPathOrigin {
  /** The argument, such as `sort[0].field`. */
  readonly field: string;
  readonly reason: Reason;
}

/** Parses a dotted path of a request; the error names the argument and the first rule it breaks. */
export function parseFieldPath(value: unknown, { field, reason }: FieldPathOrigin): Path {
  if (typeof value !== 'string') {
    throw refuse(
      reason,
      field,
      `is ${nameOf(value)}; wants a dotted path such as "specs.cpu.cores"`,
    );
  }
  const path = parsePath(value);
  if (path === undefined) throw refuse(reason, field, problemOf(value));
  return path;
}

function problemOf(text: string): string {
  const named = nameOf(text);
  if (text === '') return 'is an empty path; wants a dotted path such as "specs.cpu.cores"';
  if (text.length > PATH_CHARS_MAX) {
    const got = String(text.length);
    return `is a path of ${got} characters; the limit is ${String(PATH_CHARS_MAX)}`;
  }
  const segments = text.split('.');
  if (segments.length > PATH_SEGMENTS_MAX) {
    const got = String(segments.length);
    return `is a path of ${got} segments; the limit is ${String(PATH_SEGMENTS_MAX)}`;
  }
  if (segments.includes('')) return `is ${named}, a path with an empty segment; leave out the dot`;
  return `is ${named}; a path holds only A-Z, a-z, 0-9, "_", "-" and dots between segments`;
}
