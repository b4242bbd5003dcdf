import { fromJson, type DescField, type JsonValue, type Message } from '@bufbuild/protobuf';

import { DomainError } from '../../errors/domain-error.ts';
import type { FastifyRequest } from '../http/door.ts';
import { invalid } from './invalid.ts';
import { compileQuery } from './query.ts';
import type { Route } from './route.ts';

/** Builds the request message of a route from path, query and body. */
export type RequestBuilder = (request: FastifyRequest) => Message;

type JsonMembers = Record<string, unknown>;

/**
 * Compiles the builder of a route. ARGUMENT_INVALID for what the RPC does not know: query parameters,
 * members of the body, and a member that says something else than the path.
 */
export function compileRequest(route: Route): RequestBuilder {
  const { pathFields, body } = route;
  const addQuery = compileQuery(route);
  return (request) => {
    // By spreading, which takes a member named `__proto__` for what it is.
    const json: JsonMembers = body === '*' ? { ...membersOf(request.body) } : {};
    addQuery(json, request.query as Readonly<Record<string, unknown>>);
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
