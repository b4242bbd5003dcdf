import { isArray, isObject, memberOf } from '../../storage/query/path.ts';
import type { Json, JsonObject } from '../../storage/types.ts';

/** One schema inside a schema. */
export interface Subschema {
  /** A JSON Pointer (RFC 6901) from the root; empty for the root. */
  readonly pointer: string;
  readonly schema: JsonObject;
  /** Pointers of the schemas that are applied whenever this one is; those only defined are not. */
  readonly applied: readonly string[];
}

/** Keywords of 2020-12 whose value is a schema, a list of schemas, or schemas by name. */
const ONE = new Set([
  ...['items', 'contains', 'additionalProperties', 'propertyNames', 'unevaluatedItems'],
  ...['unevaluatedProperties', 'not', 'if', 'then', 'else', 'contentSchema'],
]);
const LISTS = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
const MAPS = new Set(['properties', 'patternProperties', 'dependentSchemas']);
const DEFINITIONS = new Set(['$defs', 'definitions']);

/** Every schema inside a schema by pointer, the root first. The boolean schemas are left out. */
export function subschemasOf(root: JsonObject): ReadonlyMap<string, Subschema> {
  const found = new Map<string, Subschema>();
  const open: Child[] = [{ pointer: '', schema: root, isApplied: true }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const children = childrenOf(at.pointer, at.schema);
    const applied = children.filter(({ isApplied }) => isApplied).map(({ pointer }) => pointer);
    found.set(at.pointer, { pointer: at.pointer, schema: at.schema, applied });
    open.push(...children.reverse());
  }
  return found;
}

interface Child {
  readonly pointer: string;
  readonly schema: JsonObject;
  readonly isApplied: boolean;
}

function childrenOf(pointer: string, schema: JsonObject): Child[] {
  return Object.entries(schema).flatMap(([keyword, value]) => {
    const isApplied = !DEFINITIONS.has(keyword);
    return membersOf(keyword, value).flatMap(([name, child]) => {
      const at = pointerTo(pointerTo(pointer, keyword), ...name);
      return isObject(child) ? [{ pointer: at, schema: child, isApplied }] : [];
    });
  });
}

/** The schemas in the value of a keyword, each with the way to it. */
function membersOf(keyword: string, value: Json): (readonly [readonly string[], Json])[] {
  if (ONE.has(keyword)) return [[[], value]];
  if (LISTS.has(keyword) && isArray(value)) return value.map((item, at) => [[String(at)], item]);
  if ((MAPS.has(keyword) || DEFINITIONS.has(keyword)) && isObject(value)) {
    return Object.entries(value).map(([name, item]) => [[name], item]);
  }
  return [];
}

/** A JSON Pointer, extended. */
export function pointerTo(pointer: string, ...segments: readonly string[]): string {
  const escaped = segments.map((name) => name.replaceAll('~', '~0').replaceAll('/', '~1'));
  return [pointer, ...escaped].join('/');
}

/** What a JSON Pointer, as the fragment of an address, points to; undefined: nothing. */
export function resolvePointer(root: Json | undefined, fragment: string): Json | undefined {
  let at = root;
  for (const segment of decodeFragment(fragment).split('/').slice(1)) {
    const name = segment.replaceAll('~1', '/').replaceAll('~0', '~');
    at = typeof at === 'object' && at !== null ? memberOf(at, name) : undefined;
  }
  return at;
}

/** Undoes the percent-encoding of an address; text that is not well encoded stays as it is. */
export function decodeFragment(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}
