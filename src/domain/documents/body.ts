import { DomainError } from '../../errors/domain-error.ts';
import { isArray, isObject } from '../../storage/query/path.ts';
import type { Json, JsonObject } from '../../storage/types.ts';

/** A body ready to be stored. */
export interface DocumentBody {
  /** The JSON text as it came, or as it was made; what is stored. */
  readonly text: string;
  readonly value: JsonObject;
}

/** Objects and lists inside each other, at most. */
export const BODY_DEPTH_MAX = 64;

/**
 * Checks a body that came as JSON text; every digit is kept. ARGUMENT_INVALID names the rule it breaks,
 * DOCUMENT_TOO_LARGE the bound in bytes.
 */
export function parseBody(text: string, field: string, bytesMax: number): DocumentBody {
  checkSize(text, field, bytesMax);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : 'is not JSON';
    throw invalid(field, `is not JSON: ${problem}`);
  }
  const body = checkValue(value as Json, field);
  if (countMembers(body) !== countNames(text)) {
    throw invalid(field, 'repeats the name of a member; a name may come once per object');
  }
  return { text, value: body };
}

/** Checks a body that came as a value, and writes its text. */
export function encodeBody(value: Json, field: string, bytesMax: number): DocumentBody {
  const body = checkValue(value, field);
  const text = JSON.stringify(body);
  checkSize(text, field, bytesMax);
  return { text, value: body };
}

function checkSize(text: string, field: string, bytesMax: number): void {
  // A character is at least one byte and at most three.
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return;
  const limit = String(bytesMax);
  throw new DomainError(
    'DOCUMENT_TOO_LARGE',
    `${field} is larger than ${limit} bytes of JSON, the limit of a document; split it`,
    {
      metadata: { field, limit },
      violations: [{ field, description: `larger than ${limit} bytes` }],
    },
  );
}

function checkValue(value: Json, field: string): JsonObject {
  if (!isObject(value)) throw invalid(field, 'is not an object; a document is a JSON object');
  for (const name of Object.keys(value)) {
    if (!name.startsWith('_') || name === '__proto__') continue;
    const problem = `has the member '${name}'; names that start with '_' belong to the server`;
    throw invalid(`${field}.${name}`, problem);
  }
  check(value, field, 1);
  return value;
}

function check(value: Json, field: string, depth: number): void {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw invalid(field, 'holds half of a surrogate pair');
      return;
    case 'number':
      if (!Number.isFinite(value)) throw invalid(field, 'holds a number that JSON cannot hold');
      return;
    default:
      if (value !== null && typeof value === 'object') checkMembers(value, field, depth);
  }
}

function checkMembers(value: JsonObject | readonly Json[], field: string, depth: number): void {
  if (depth > BODY_DEPTH_MAX) {
    throw invalid(field, `is nested deeper than ${String(BODY_DEPTH_MAX)} levels`);
  }
  if (isArray(value)) {
    for (const item of value) check(item, field, depth + 1);
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    if (!name.isWellFormed()) throw invalid(field, 'has a name with half of a surrogate pair');
    check(member, field, depth + 1);
  }
}

/** Members of all objects in a value. */
function countMembers(value: Json): number {
  if (isArray(value)) return value.reduce<number>((sum, item) => sum + countMembers(item), 0);
  if (!isObject(value)) return 0;
  const members = Object.values(value);
  return members.reduce<number>((sum, member) => sum + countMembers(member), members.length);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Names of members in a valid JSON text: each is followed by the only colons outside of strings. */
function countNames(text: string): number {
  let names = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isInString = !isInString;
    else if (code === BACKSLASH) at++;
    else if (code === COLON && !isInString) names++;
  }
  return names;
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
