import { isArray, isObject } from '../../storage/query/path.ts';
import type { Json } from '../../storage/types.ts';
import { nameOf } from '../query/refuse.ts';
import { pointerTo, resolvePointer, type Subschema } from './schema-tree.ts';

/** What is wrong with a schema, and where. */
export interface SchemaFault {
  /** A JSON Pointer into the schema. */
  readonly pointer: string;
  /** Ends the sentence «the schema at … …». */
  readonly problem: string;
}

/** What the place checks need to know of the validator. */
export interface SchemaLanguage {
  isKeyword(name: string): boolean;
  isFormat(name: string): boolean;
  /** What is wrong with a pattern; undefined: nothing. */
  problemOfPattern(pattern: string): string | undefined;
}

const META_SCHEMA = 'https://json-schema.org/draft/2020-12/schema';
/** Members of these are names of members of a body. */
const NAMES = ['properties', 'dependentSchemas', 'dependentRequired', '$defs', 'definitions'];

/** The first fault of a schema that is well-formed by the meta-schema; undefined: none was found. */
export function faultOf(
  tree: ReadonlyMap<string, Subschema>,
  language: SchemaLanguage,
): SchemaFault | undefined {
  for (const subschema of tree.values()) {
    for (const [keyword, value] of Object.entries(subschema.schema)) {
      const fault = faultOfKeyword({ subschema, keyword, value, tree }, language);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

interface Place {
  readonly subschema: Subschema;
  readonly keyword: string;
  readonly value: Json;
  readonly tree: ReadonlyMap<string, Subschema>;
}

function faultOfKeyword(place: Place, language: SchemaLanguage): SchemaFault | undefined {
  const { subschema, keyword, value } = place;
  const pointer = pointerTo(subschema.pointer, keyword);
  const fault = (problem: string): SchemaFault => ({ pointer, problem });
  if (keyword === '$async' || !language.isKeyword(keyword)) {
    return fault('is an unknown keyword; known are those of JSON Schema 2020-12');
  }
  // The meta-schema has seen to the types; what is no text here has no rule below that wants some.
  const text = typeof value === 'string' ? value : '';
  switch (keyword) {
    case '$schema':
      if (text.replace(/#$/, '') === META_SCHEMA) return undefined;
      return fault(`is ${nameOf(value)}; wants "${META_SCHEMA}"`);
    case '$ref':
    case '$dynamicRef':
      return faultOfReference(text, place, fault);
    case 'format':
      if (language.isFormat(text)) return undefined;
      return fault(`is ${nameOf(value)}, an unknown format`);
    case 'pattern': {
      const problem = language.problemOfPattern(text);
      return problem === undefined ? undefined : fault(problem);
    }
    case 'patternProperties':
      return faultOfPatternNames(value, pointer, language);
    default:
      return faultOfNames(value, { pointer, keyword });
  }
}

/** Nothing is ever fetched: whatever a reference names has to be in the schema. */
function faultOfReference(
  reference: string,
  { tree }: Place,
  fault: (problem: string) => SchemaFault,
): SchemaFault | undefined {
  const [base = '', fragment = ''] = reference.split('#', 2);
  const ids = [...tree.values()].flatMap(({ schema }) => ('$id' in schema ? [schema['$id']] : []));
  // With identifiers in play the validator resolves by the rules of RFC 3986 and reports what it misses.
  if (reference.startsWith(META_SCHEMA) || (ids.length > 0 && !isForeign(base, ids)))
    return undefined;
  if (base !== '') {
    return fault(`refers to ${nameOf(reference)}; a schema cannot refer out of itself, use $defs`);
  }
  const root = tree.get('')?.schema;
  const isThere = !fragment.startsWith('/') || resolvePointer(root, fragment) !== undefined;
  return isThere ? undefined : fault(`refers to ${nameOf(reference)}, which is not there`);
}

/** Reports whether a reference has an address of its own that no schema here goes by. */
function isForeign(base: string, ids: readonly unknown[]): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:/.test(base) && !ids.some((id) => base.endsWith(String(id)));
}

function faultOfPatternNames(
  value: Json,
  pointer: string,
  language: SchemaLanguage,
): SchemaFault | undefined {
  for (const pattern of Object.keys(isObject(value) ? value : {})) {
    const problem = language.problemOfPattern(pattern);
    if (problem !== undefined) return { pointer: pointerTo(pointer, pattern), problem };
  }
  return undefined;
}

/** The validator skips this one name without a word, so a rule about it would never hold. */
function faultOfNames(
  value: Json,
  { pointer, keyword }: { readonly pointer: string; readonly keyword: string },
): SchemaFault | undefined {
  const isNamed =
    (NAMES.includes(keyword) && isObject(value) && Object.hasOwn(value, '__proto__')) ||
    (keyword === 'required' && isArray(value) && value.includes('__proto__'));
  if (!isNamed) return undefined;
  return { pointer, problem: 'names "__proto__", for which no rule can be given' };
}
