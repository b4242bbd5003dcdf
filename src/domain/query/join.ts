import { isObject, isSystemField } from '../../storage/query/path.ts';
import type { Join } from '../../storage/query/query.ts';
import type { Json, JsonObject } from '../../storage/types.ts';
import { parseFieldPath } from './field-path.ts';
import { ALIAS_CHARS_MAX, EXTENDS_MAX, JOINS_MAX } from './limits.ts';
import { parsePaths } from './projection.ts';
import { nameOf, refuse } from './refuse.ts';
import { COLLECTION_NAME, DOCUMENT_KEY, wantList, wantMatching, wantObject } from './shape.ts';

/** A join as asked for: which keys of `from` the caller may see is not the caller's to say. */
export type JoinRequest = Omit<Join, 'access' | 'systemFields'>;

const ALIAS = {
  pattern: new RegExp(`^[A-Za-z0-9_-]{1,${String(ALIAS_CHARS_MAX)}}$`),
  wanted: `an alias: 1 to ${String(ALIAS_CHARS_MAX)} of A-Z, a-z, 0-9, "_" and "-"`,
} as const;

/**
 * Parses joins: a list of at most 16, each `{"alias", "from", "on", "fields"?}` or, in the short form,
 * `{"<alias>": {"from", "on", "fields"?}}`. Aliases are unique and no system field; `from` names a
 * collection of users.
 */
export function parseJoins(value: unknown): readonly JoinRequest[] {
  const items = wantList(value, { field: 'joins', itemsMax: JOINS_MAX });
  const joins = items.flatMap((item, at) => parseItem(item, `joins[${String(at)}]`));
  if (joins.length > JOINS_MAX) {
    const got = String(joins.length);
    throw refuse('ARGUMENT_INVALID', 'joins', `are ${got}; the limit is ${String(JOINS_MAX)}`);
  }
  const seen = new Set<string>();
  for (const { alias } of joins) {
    if (seen.has(alias)) throw refuse('ARGUMENT_INVALID', 'joins', `name '${alias}' twice`);
    seen.add(alias);
  }
  return joins;
}

function parseItem(item: Json, field: string): readonly JoinRequest[] {
  if (!isObject(item)) {
    throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(item)}; wants an object`);
  }
  if (typeof item['alias'] === 'string') {
    const spec = wantObject(item, field, ['alias', 'from', 'on', 'fields']);
    return [parseSpec(item['alias'], spec, field)];
  }
  return Object.entries(item).map(([alias, spec]) => {
    const at = `${field}.${alias}`;
    return parseSpec(alias, wantObject(spec, at, ['from', 'on', 'fields']), at);
  });
}

function parseSpec(alias: string, spec: JsonObject, field: string): JoinRequest {
  const fields = parsePaths(spec['fields'], `${field}.fields`);
  return {
    alias: parseAlias(alias, field),
    from: wantMatching(spec['from'], `${field}.from`, COLLECTION_NAME),
    on: parseFieldPath(spec['on'], { field: `${field}.on`, reason: 'ARGUMENT_INVALID' }),
    fields: fields.length === 0 ? undefined : fields,
  };
}

function parseAlias(alias: string, field: string): string {
  if (isSystemField(alias)) {
    throw refuse('ARGUMENT_INVALID', field, `has the alias '${alias}', which is a system field`);
  }
  return wantMatching(alias, `${field} alias`, ALIAS);
}

/** A reference that is copied into a document when it is written. */
export interface Extension {
  readonly alias: string;
  readonly collection: string;
  readonly key: string;
}

/**
 * Parses `extends`: `{"<alias>": "<collection>.<key>"}`, at most 16, split at the first dot. Absent
 * gives none.
 */
export function parseExtends(value: unknown, field = 'extends'): readonly Extension[] {
  if (value === undefined) return [];
  if (!isObject(value)) {
    throw refuse('ARGUMENT_INVALID', field, `is ${nameOf(value)}; wants an object of references`);
  }
  const entries = Object.entries(value);
  if (entries.length > EXTENDS_MAX) {
    const problem = `has ${String(entries.length)} references; the limit is ${String(EXTENDS_MAX)}`;
    throw refuse('ARGUMENT_INVALID', field, problem);
  }
  return entries.map(([alias, reference]) => parseReference(alias, reference, field));
}

function parseReference(alias: string, reference: Json, parent: string): Extension {
  const field = `${parent}.${alias}`;
  const dot = typeof reference === 'string' ? reference.indexOf('.') : -1;
  if (typeof reference !== 'string' || dot < 0) {
    const problem = `is ${nameOf(reference)}; wants "<collection>.<key>"`;
    throw refuse('ARGUMENT_INVALID', field, problem);
  }
  return {
    alias: parseAlias(alias, field),
    collection: wantMatching(reference.slice(0, dot), field, COLLECTION_NAME),
    key: wantMatching(reference.slice(dot + 1), field, DOCUMENT_KEY),
  };
}
