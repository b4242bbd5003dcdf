/** What the OpenAPI document offers as a query parameter is taken, and lands where its name says. */
import { ScalarType, toJson, type DescField, type DescFile } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import { file_molten_v1_admin } from '../../../gen/molten/v1/admin_pb.ts';
import { file_molten_v1_api_keys } from '../../../gen/molten/v1/api_keys_pb.ts';
import { file_molten_v1_audit } from '../../../gen/molten/v1/audit_pb.ts';
import { file_molten_v1_auth } from '../../../gen/molten/v1/auth_pb.ts';
import { file_molten_v1_collections } from '../../../gen/molten/v1/collections_pb.ts';
import { file_molten_v1_documents } from '../../../gen/molten/v1/documents_pb.ts';
import { file_molten_v1_operations } from '../../../gen/molten/v1/operations_pb.ts';
import { file_molten_v1_snapshots } from '../../../gen/molten/v1/snapshots_pb.ts';
import { file_molten_v1_tokens } from '../../../gen/molten/v1/tokens_pb.ts';
import { file_molten_v1_users } from '../../../gen/molten/v1/users_pb.ts';
import { file_molten_v1_watch } from '../../../gen/molten/v1/watch_pb.ts';
import type { FastifyRequest } from '../../../src/protocol/http/door.ts';
import { describeApi } from '../../../src/protocol/openapi/document.ts';
import { queryParametersOf } from '../../../src/protocol/rest/query.ts';
import { compileRequest } from '../../../src/protocol/rest/request.ts';
import { routesOf, type Route } from '../../../src/protocol/rest/route.ts';

const FILES: readonly DescFile[] = [
  ...[file_molten_v1_admin, file_molten_v1_api_keys, file_molten_v1_audit, file_molten_v1_auth],
  ...[file_molten_v1_collections, file_molten_v1_documents, file_molten_v1_operations],
  ...[file_molten_v1_snapshots, file_molten_v1_tokens, file_molten_v1_users, file_molten_v1_watch],
];

interface Operation {
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
}

const services = FILES.flatMap((file) => file.services);
const paths = describeApi(services, '0')['paths'] as Record<string, Record<string, Operation>>;

const OFFERED = services
  .flatMap((service) => service.methods.flatMap(routesOf))
  .flatMap((route) =>
    (paths[route.template]?.[route.method.toLowerCase()]?.parameters ?? [])
      .filter((parameter) => parameter.in === 'query')
      .map(({ name }) => ({ title: `${route.method} ${route.template}`, route, name })),
  );

function build({ pathFields, ...route }: Route, query: Readonly<Record<string, unknown>>): unknown {
  const params = Object.fromEntries(pathFields.map(({ name }) => [name, 'x']));
  const request = { params, query, body: undefined } as unknown as FastifyRequest;
  return toJson(route.rpc.input, compileRequest({ ...route, pathFields })(request));
}

function sampleOf(route: Route, name: string): string {
  const found = queryParametersOf(route).find((one) => one.name === name);
  const { field } = found as { readonly field: DescField };
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.BOOL) return 'true';
  if (field.enum !== undefined) return field.enum.values[1]?.name ?? '';
  const { message } = field;
  if (message?.name === 'Timestamp') return '2026-01-31T23:59:59Z';
  return message?.name === 'Duration' ? '5s' : '7';
}

describe('a query parameter of the OpenAPI document', () => {
  it.each(OFFERED)('$title takes $name', ({ route, name }) => {
    const sample = sampleOf(route, name);
    const value = name
      .split('.')
      .reduce<unknown>(
        (at, part) => (at as Record<string, unknown>)[part],
        build(route, { [name]: sample }),
      );
    expect([value].flat().map(String)).toEqual([sample]);
  });

  it('may be a field of a message, by its path', () => {
    const names = OFFERED.map(({ name }) => name);
    expect(names).toContain('precondition.version');
    expect(names).not.toContain('precondition');
  });

  it.each([
    [{ precondition: '{}' }, 'precondition is several query parameters; give one of precondition.'],
    [{ 'precondition.versoin': '1' }, 'did you mean precondition.version?'],
    [{ 'precondition.version': ['1', '2'] }, 'precondition.version is given more than once'],
    [{ 'precondition.version': '1', 'precondition.exists': 'true' }, 'oneof'],
    [{ 'precondition.exists': 'yes' }, "precondition.exists is 'yes'; wants true or false"],
    [{ validateOnly: 'true', validate_only: 'true' }, 'validate_only is given twice'],
  ])('is refused as %j', (query, text) => {
    const template = '/v1/collections/{collection}/documents/{key}';
    const found = OFFERED.find(
      ({ route }) => route.method === 'DELETE' && route.template === template,
    );
    expect(() => build((found as { readonly route: Route }).route, query)).toThrow(text);
  });
});
