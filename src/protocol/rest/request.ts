import { nearest } from '../../platform/nearest.ts';
import {
  fromJson,
  ScalarType,
  type DescField,
  type JsonValue,
  type Message,
} from '@bufbuild/protobuf';

import { DomainError } from '../../errors/domain-error.ts';
import type { FastifyRequest } from '../http/door.ts';
import type { Route } from './route.ts';

/** Builds the request message of a route from path, query and body. */
export type RequestBuilder = (request: FastifyRequest) => Message;

type JsonMembers = Record<string, unknown>;

/**
 * Compiles the builder of a route. ARGUMENT_INVALID for what the RPC does not know: query parameters,
 * members of the body, and a member that says something else than the path.
 */
export function compileRequest(route: Route): RequestBuilder {
  const { rpc, pathFields, body } = route;
  const names = new Map(
    rpc.input.fields.flatMap((field) => [
      [field.jsonName, field] as const,
      [field.name, field] as const,
    ]),
  );
  return (request) => {
    // By spreading, which takes a member named `__proto__` for what it is.
    const json: JsonMembers = body === '*' ? { ...membersOf(request.body) } : {};
    if (body !== '*') addQuery(json, names, request.query as Readonly<Record<string, unknown>>);
    if (body === '*') refuseQuery(request.query as Readonly<Record<string, unknown>>);
    if (typeof body === 'object') json[body.jsonName] = request.body ?? {};
    addPath(json, pathFields, request.params as Readonly<Record<string, string>>);
    return decode(route, json);
  };
}

function decode({ rpc }: Route, json: JsonMembers): Message {
  try {
    return fromJson(rpc.input, json as JsonValue, { ignoreUnknownFields: false });
  } catch (error) {
    if (error instanceof DomainError) throw error;
    const problem = error instanceof Error ? error.message : String(error);
    throw new DomainError('ARGUMENT_INVALID', `the request is not a ${rpc.input.name}: ${problem}`);
  }
}

function membersOf(body: unknown): JsonMembers {
  if (body === undefined || body === null) return {};
  if (typeof body === 'object' && !Array.isArray(body)) return body as JsonMembers;
  throw new DomainError('ARGUMENT_INVALID', 'the body is not a JSON object; send one');
}

function addPath(
  json: JsonMembers,
  fields: readonly DescField[],
  params: Readonly<Record<string, string>>,
): void {
  for (const field of fields) {
    const value = params[field.name] ?? '';
    for (const name of [field.jsonName, field.name]) {
      const other = Object.hasOwn(json, name) ? json[name] : undefined;
      if (other === undefined || other === value) continue;
      throw invalid(name, `is ${JSON.stringify(other)} in the request and '${value}' in the path`);
    }
    // Under the name that is there already, or the message would have the field twice.
    json[Object.hasOwn(json, field.name) ? field.name : field.jsonName] = value;
  }
}

function addQuery(
  json: JsonMembers,
  names: ReadonlyMap<string, DescField>,
  query: Readonly<Record<string, unknown>>,
): void {
  for (const [name, value] of Object.entries(query)) {
    const field = names.get(name);
    if (field === undefined) throw unknownParameter(name, [...names.keys()]);
    if (Object.hasOwn(json, field.jsonName)) throw invalid(name, 'is given twice');
    json[field.jsonName] = valueOf(field, name, value);
  }
}

function refuseQuery(query: Readonly<Record<string, unknown>>): void {
  const [name] = Object.keys(query);
  if (name !== undefined) throw invalid(name, 'is a query parameter; this route takes only a body');
}

/** Text is valid ProtoJSON for numbers, enums and the well-known types; only booleans are not. */
function valueOf(field: DescField, name: string, value: unknown): unknown {
  const values = Array.isArray(value) ? value : [value];
  if (field.fieldKind === 'list') return values;
  if (values.length > 1) throw invalid(name, 'is given more than once');
  const [text] = values as readonly unknown[];
  if (field.fieldKind !== 'scalar' || field.scalar !== ScalarType.BOOL) return text;
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalid(name, `is '${String(text)}'; wants true or false`);
}

function unknownParameter(name: string, known: readonly string[]): DomainError {
  const near = nearest(name, known);
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
  return invalid(name, `is an unknown query parameter; ${hint}`);
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
