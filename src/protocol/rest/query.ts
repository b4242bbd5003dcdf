/** The query parameters of a route: what its request holds besides path and body, by `google.api.http`. */
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';

import { nearest } from '../../platform/nearest.ts';
import { invalid } from './invalid.ts';
import type { Route } from './route.ts';

/** A field that a query may name; one of a message within the request by its path. */
export interface QueryParameter {
  readonly field: DescField;
  /** The messages it is in, from the request down. */
  readonly above: readonly DescField[];
  /** The names of the path, as JSON has them, with dots between. */
  readonly name: string;
}

type JsonMembers = Record<string, unknown>;

/** All query parameters of a route; fields of the path may be named once more. */
export function queryParametersOf({ rpc, body }: Route): readonly QueryParameter[] {
  if (body === '*') return [];
  return leavesOf(rpc.input, []).filter(({ field, above: [first = field] }) => first !== body);
}

function leavesOf(message: DescMessage, above: readonly DescField[]): readonly QueryParameter[] {
  return message.fields.flatMap((field) => {
    const inner = field.fieldKind === 'message' ? field.message : undefined;
    const isText = inner === undefined || inner.typeName.startsWith('google.protobuf.');
    if (!isText)
      return above.some(({ parent }) => parent === inner) ? [] : leavesOf(inner, [...above, field]);
    const isTable = field.fieldKind === 'map';
    const isMessages = field.fieldKind === 'list' && field.listKind === 'message';
    return isTable || isMessages
      ? []
      : [{ field, above, name: nameOf([...above, field], 'jsonName') }];
  });
}

function nameOf(path: readonly DescField[], form: 'jsonName' | 'name'): string {
  return path.map((field) => field[form]).join('.');
}

/** Puts a query into the members of a request. */
export type QueryReader = (json: JsonMembers, query: Readonly<Record<string, unknown>>) => void;

/** Compiles the reader of the queries of a route; ARGUMENT_INVALID for what is no parameter of it. */
export function compileQuery(route: Route): QueryReader {
  const names = new Map(
    queryParametersOf(route).flatMap((one) => [
      [one.name, one] as const,
      [nameOf([...one.above, one.field], 'name'), one] as const,
    ]),
  );
  return (json, query) => {
    for (const [name, value] of Object.entries(query)) {
      const parameter = names.get(name);
      if (parameter === undefined) throw unknownParameter(name, [...names.keys()]);
      place(json, parameter, { name, value });
    }
  };
}

function place(
  json: JsonMembers,
  { field, above }: QueryParameter,
  { name, value }: { readonly name: string; readonly value: unknown },
): void {
  let members = json;
  for (const { jsonName } of above) members = (members[jsonName] ??= {}) as JsonMembers;
  if (Object.hasOwn(members, field.jsonName)) throw invalid(name, 'is given twice');
  members[field.jsonName] = valueOf(field, name, value);
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

function unknownParameter(name: string, known: readonly string[]): Error {
  const inner = known.filter((one) => one.startsWith(`${name}.`));
  if (inner.length > 0) {
    return invalid(name, `is several query parameters; give one of ${inner.join(', ')}`);
  }
  if (known.length === 0) {
    return invalid(name, 'is a query parameter; this route takes only a body');
  }
  const near = nearest(name, known);
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
  return invalid(name, `is an unknown query parameter; ${hint}`);
}
