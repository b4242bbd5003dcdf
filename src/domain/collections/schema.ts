import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import { RE2JS } from 're2js';

import { DomainError } from '../../errors/domain-error.ts';
import type { JsonObject } from '../../storage/types.ts';

/** One rule of a schema that a body breaks. */
export interface SchemaViolation {
  /** A JSON Pointer (RFC 6901) into the body; empty for the body itself. */
  readonly path: string;
  readonly description: string;
}

/** Checks bodies against one schema. */
export type SchemaValidator = (body: JsonObject) => readonly SchemaViolation[];

/** The longest schema, in bytes of JSON. */
export const SCHEMA_BYTES_MAX: number = 256 * 1024;
const SCHEMA_DEPTH_MAX = 64;
const VIOLATIONS_MAX = 100;

/**
 * Compiles a JSON Schema (2020-12). Nothing is fetched: a `$ref` out of the document is an error.
 * Patterns run in an engine of linear time. SCHEMA_INVALID names the place at fault.
 */
export function compileSchema(text: string): SchemaValidator {
  if (Buffer.byteLength(text) > SCHEMA_BYTES_MAX) {
    throw invalid(`is larger than ${String(SCHEMA_BYTES_MAX)} bytes`);
  }
  const schema: unknown = JSON.parse(text);
  if (depthOf(schema) > SCHEMA_DEPTH_MAX)
    throw invalid(`is nested deeper than ${String(SCHEMA_DEPTH_MAX)} levels`);
  const validate = compile(schema as JsonObject);
  return (body) => {
    if (validate(body)) return [];
    return (validate.errors ?? []).slice(0, VIOLATIONS_MAX).map(toViolation);
  };
}

function compile(schema: JsonObject): ValidateFunction {
  const ajv = new Ajv2020({
    allErrors: true,
    strict: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    // `$id` names nothing here: each schema has a validator of its own.
    addUsedSchema: false,
    logger: false,
    code: { regExp: linearRegExp },
  });
  ajvFormats.default(ajv);
  try {
    const validate = ajv.compile(schema);
    if ('$async' in validate) throw new Error('$async is not supported');
    return validate;
  } catch (error) {
    throw invalid(
      `cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
}

/** ajv asks for a RegExp; all it calls is `test`. */
const linearRegExp = Object.assign(
  (pattern: string, flags: string) => {
    const compiled = RE2JS.compile(
      RE2JS.translateRegExp(pattern),
      flags.includes('i') ? RE2JS.CASE_INSENSITIVE : 0,
    );
    return { test: (text: string) => compiled.matcher(text).find() } as unknown as RegExp;
  },
  { code: 'linearRegExp' },
);

function toViolation({ instancePath, message, params, keyword }: ErrorObject): SchemaViolation {
  const extra =
    keyword === 'additionalProperties' || keyword === 'unevaluatedProperties'
      ? `: ${JSON.stringify(Object.values(params)[0])}`
      : '';
  return { path: instancePath, description: `${message ?? 'is not valid'}${extra}` };
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let deepest = 0;
  for (const member of Object.values(value)) {
    deepest = Math.max(deepest, depthOf(member));
    if (deepest > SCHEMA_DEPTH_MAX) break;
  }
  return deepest + 1;
}

function invalid(problem: string, cause?: unknown): DomainError {
  return new DomainError('SCHEMA_INVALID', `the schema ${problem}`, {
    violations: [{ field: 'settings.schema', description: problem }],
    cause,
  });
}
