import type { Path, Projection } from '../../storage/query/query.ts';
import { parseFieldPath } from './field-path.ts';
import { FIELDS_MAX } from './limits.ts';
import { refuse } from './refuse.ts';
import { wantList } from './shape.ts';

/**
 * Parses which members come back: `fields` or `excludedFields`, at most 256 dotted paths, not both.
 * Absent or empty lists give undefined: everything comes back.
 */
export function parseProjection(request: {
  readonly fields?: unknown;
  readonly excludedFields?: unknown;
}): Projection | undefined {
  const include = parsePaths(request.fields, 'fields');
  const exclude = parsePaths(request.excludedFields, 'excludedFields');
  if (include.length > 0 && exclude.length > 0) {
    throw refuse('ARGUMENT_INVALID', 'fields', "and 'excludedFields' cannot be used together");
  }
  if (include.length > 0) return { kind: 'include', paths: include };
  return exclude.length > 0 ? { kind: 'exclude', paths: exclude } : undefined;
}

/** Parses a list of at most 256 dotted paths; absent is the empty list. */
export function parsePaths(
  value: unknown,
  field: string,
  itemsMax: number = FIELDS_MAX,
): readonly Path[] {
  const items = wantList(value, { field, itemsMax });
  return items.map((item, at) =>
    parseFieldPath(item, { field: `${field}[${String(at)}]`, reason: 'ARGUMENT_INVALID' }),
  );
}
