/**
 * Schemas of collections: JSON Schema 2020-12, compiled by ajv.
 *
 * A schema comes from a caller and is not trusted. Nothing is fetched; patterns run in an engine of
 * linear time; size, depth and patterns are bounded; and where a schema and a body together could keep
 * the validator busy for long, it runs under a time limit and the body fails when that passes.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';

import { DomainError } from '../../errors/domain-error.ts';
import { isObject } from '../../storage/query/path.ts';
import type { Json, JsonObject } from '../../storage/types.ts';
import { runWithin } from './bounded-run.ts';
import { costOf, weightOf } from './schema-cost.ts';
import { createSchemaPatterns, type SchemaPatterns } from './schema-pattern.ts';
import { faultOf, type SchemaFault } from './schema-places.ts';
import { subschemasOf } from './schema-tree.ts';

/** One rule of a schema that a body breaks. */
export interface SchemaViolation {
  /** A JSON Pointer (RFC 6901) into the body; empty for the body itself. Cut after 1,024 characters. */
  readonly path: string;
  readonly description: string;
  /** The member below `path` that is missing or in the way, if it is about one. */
  readonly member?: string;
}

/** Checks bodies against one schema; at most 100 violations. */
export type SchemaValidator = (body: JsonObject) => readonly SchemaViolation[];

/** The longest schema, in bytes of JSON. */
export const SCHEMA_BYTES_MAX: number = 256 * 1024;
/** The deepest schema, in levels of objects and lists. */
export const SCHEMA_DEPTH_MAX = 64;
const VIOLATIONS_MAX = 100;
const NAME_SHOWN_MAX = 64;
const PATH_SHOWN_MAX = 1024;
const PROBLEM_SHOWN_MAX = 300;

/** Time to compile one schema, and to check one body. */
const COMPILE_MS_MAX = 1000;
const CHECK_MS_MAX = 500;
/** Below all of these a check cannot take long and needs no time limit. */
const TAME = { chars: 16_384, cost: 1000, instructions: 5000, bodyWeight: 2000 } as const;

/**
 * Compiles a JSON Schema (2020-12) given as the text of an object. A `$ref` out of the document is an
 * error. SCHEMA_INVALID names the place at fault by a JSON Pointer.
 */
export function compileSchema(text: string): SchemaValidator {
  const schema = parseSchema(text);
  const compiled = runWithin(COMPILE_MS_MAX, () => compile(schema, text.length));
  if (!compiled.isDone) throw invalid({ pointer: '', problem: 'takes too long to compile' });
  const { validate, isTame } = compiled.value;
  return (body) => {
    if (isTame && weightOf(body, TAME.bodyWeight) <= TAME.bodyWeight) return check(validate, body);
    return checkWithin(validate, body);
  };
}

function parseSchema(text: string): JsonObject {
  const bytes = Buffer.byteLength(text);
  const root = { pointer: '' };
  if (bytes > SCHEMA_BYTES_MAX) {
    const problem = `is ${String(bytes)} bytes of JSON; the limit is ${String(SCHEMA_BYTES_MAX)}`;
    throw invalid({ ...root, problem });
  }
  const schema = JSON.parse(text) as Json;
  if (isDeeperThan(schema, SCHEMA_DEPTH_MAX)) {
    const problem = `is nested deeper than the limit of ${String(SCHEMA_DEPTH_MAX)} levels`;
    throw invalid({ ...root, problem });
  }
  if (!isObject(schema)) throw invalid({ ...root, problem: 'is no object' });
  return schema;
}

interface CompiledSchema {
  readonly validate: ValidateFunction;
  readonly isTame: boolean;
}

function compile(schema: JsonObject, chars: number): CompiledSchema {
  const patterns = createSchemaPatterns();
  const fault = faultByMetaSchema(schema);
  if (fault !== undefined) throw invalid(fault);
  const ajv = createValidator(patterns);
  const tree = subschemasOf(schema);
  const found = faultOf(tree, {
    isKeyword: (name) => Object.hasOwn(ajv.RULES.keywords, name),
    isFormat: (name) => Object.hasOwn(ajv.formats, name),
    problemOfPattern: patterns.problemOf,
  });
  if (found !== undefined) throw invalid(found);
  try {
    const validate = ajv.compile(schema);
    // A reference that comes back to where it started shows on any body.
    validate({});
    const isTame =
      chars <= TAME.chars &&
      costOf(tree) <= TAME.cost &&
      patterns.instructions() <= TAME.instructions;
    return { validate, isTame };
  } catch (cause) {
    const isEndless = cause instanceof RangeError;
    const problem = isEndless ? 'it refers back to itself for ever' : messageOf(cause);
    throw invalid({ pointer: '', problem: `cannot be used: ${problem}` }, cause);
  }
}

function createValidator(patterns: SchemaPatterns): Ajv2020 {
  const ajv = new Ajv2020({
    ...{ allErrors: true, logger: false, validateSchema: false },
    ...{ strict: true, strictTypes: false, strictTuples: false, strictRequired: false },
    allowMatchingProperties: true,
    // A body has members called `constructor` only when it was given them.
    ownProperties: true,
    // A definition used a thousand times would be written out a thousand times.
    inlineRefs: false,
    // 19.99 is a multiple of 0.01, whatever binary fractions say.
    multipleOfPrecision: 9,
    code: { regExp: patterns.regExp },
  });
  ajvFormats.default(ajv);
  // Understood, but not among the words that the strict mode knows.
  ajv.addVocabulary(['$anchor']);
  return ajv;
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^strict mode: /, '');
}

/** Compiles the meta-schema once; keeps nothing of the schemas it checks. */
let metaValidator: Ajv2020 | undefined;

function faultByMetaSchema(schema: JsonObject): SchemaFault | undefined {
  metaValidator ??= new Ajv2020({ logger: false, validateFormats: false });
  // Another dialect is told from its place, further on.
  const { $schema: _dialect, ...rules } = schema;
  if (metaValidator.validateSchema(rules) === true) return undefined;
  const [error] = metaValidator.errors ?? [];
  return { pointer: error?.instancePath ?? '', problem: describe(error) };
}

function check(validate: ValidateFunction, body: JsonObject): readonly SchemaViolation[] {
  if (validate(body)) return [];
  return (validate.errors ?? []).slice(0, VIOLATIONS_MAX).map(toViolation);
}

/** Fails closed: a body that cannot be checked in time does not fit. */
function checkWithin(validate: ValidateFunction, body: JsonObject): readonly SchemaViolation[] {
  try {
    const outcome = runWithin(CHECK_MS_MAX, () => check(validate, body));
    if (outcome.isDone) return outcome.value;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [
      { path: '', description: 'cannot be checked: the schema refers back to itself for ever' },
    ];
  }
  const limit = `${String(CHECK_MS_MAX)} ms`;
  return [{ path: '', description: `takes longer to check against this schema than ${limit}` }];
}

function toViolation(error: ErrorObject): SchemaViolation {
  const path = shortened(error.instancePath, PATH_SHOWN_MAX);
  const member = memberOf(error);
  return { path, description: describe(error), ...(member === undefined ? {} : { member }) };
}

function memberOf({ keyword, params }: ErrorObject): string | undefined {
  const name = MEMBERS.get(keyword);
  const member: unknown = name === undefined ? undefined : params[name];
  return typeof member === 'string' ? member : undefined;
}

/** The keywords that are about one member of an object, and what ajv calls it. */
const MEMBERS: ReadonlyMap<string, string> = new Map([
  ['required', 'missingProperty'],
  ['dependentRequired', 'missingProperty'],
  ['additionalProperties', 'additionalProperty'],
  ['unevaluatedProperties', 'unevaluatedProperty'],
  ['propertyNames', 'propertyName'],
]);

/** One sentence; of the body it shows names at most, cut short, and never a value. */
function describe(error: ErrorObject | undefined): string {
  const message = error?.message ?? 'is not valid';
  switch (error?.keyword) {
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return `${message}: ${JSON.stringify(shortened(String(Object.values(error.params)[0]), NAME_SHOWN_MAX))}`;
    case 'enum':
    case 'const':
      return shortened(
        `${message}: ${JSON.stringify(Object.values(error.params)[0])}`,
        PROBLEM_SHOWN_MAX,
      );
    default:
      return shortened(message, PROBLEM_SHOWN_MAX);
  }
}

function shortened(text: string, chars: number): string {
  return text.length > chars ? `${text.slice(0, chars)}…` : text;
}

function isDeeperThan(value: Json, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((member: Json) => isDeeperThan(member, levels - 1));
}

function invalid({ pointer, problem }: SchemaFault, cause?: unknown): DomainError {
  const place = shortened(pointer, PATH_SHOWN_MAX);
  const where = place === '' ? 'the schema' : `the schema at '${place}'`;
  const description = shortened(problem, PROBLEM_SHOWN_MAX);
  return new DomainError('SCHEMA_INVALID', `${where} ${description}`, {
    metadata: { place },
    violations: [{ field: `settings.schema${place}`, description }],
    cause,
  });
}
