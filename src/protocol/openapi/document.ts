/**
 * The OpenAPI 3.1 document of the REST routes, written from the descriptors: what the server serves and
 * what it says it serves cannot disagree.
 */
import {
  getOption,
  hasOption,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
} from '@bufbuild/protobuf';

import { COMMENTS } from '../../../gen/molten/v1/comments.ts';
import { scope, ScopeTarget } from '../../../gen/molten/v1/options_pb.ts';
import { REASONS } from '../../errors/reason.ts';
import { queryParametersOf } from '../rest/query.ts';
import { routesOf, type Route } from '../rest/route.ts';
import { createSchemas, type JsonSchema, type Schemas } from './schemas.ts';

/** An OpenAPI document. */
export type OpenApiDocument = Readonly<Record<string, unknown>>;

/** Writes the document of some services. */
export function describeApi(services: readonly DescService[], release: string): OpenApiDocument {
  const schemas = createSchemas();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const service of services) {
    for (const route of service.methods.flatMap(routesOf)) {
      const item = (paths[route.template] ??= {});
      item[route.method.toLowerCase()] = operationOf(route, service, schemas);
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'MoltenDB',
      version: release,
      description:
        'A document database. The same calls are served over Connect, gRPC and gRPC-Web; this is their REST form. Numbers of 64 bits are strings. Errors are problem documents (RFC 9457): branch on `reason`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: services.map(({ name, typeName }) => ({ name, description: COMMENTS[typeName] ?? '' })),
    paths,
    components: {
      schemas: { ...schemas.all(), Problem: PROBLEM },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      responses: {
        Problem: {
          description: 'What went wrong.',
          content: {
            'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
          },
        },
      },
    },
    security: [{ bearer: [] }],
  };
}

const PROBLEM: JsonSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'reason', 'requestId'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    reason: { type: 'string', enum: [...REASONS] },
    requestId: { type: 'string' },
    metadata: { type: 'object', additionalProperties: { type: 'string' } },
    violations: {
      type: 'array',
      items: {
        type: 'object',
        properties: { field: { type: 'string' }, description: { type: 'string' } },
      },
    },
    retryAfterMs: { type: 'number' },
  },
};

function operationOf(route: Route, service: DescService, schemas: Schemas): unknown {
  const { rpc, pathFields, body } = route;
  const description = COMMENTS[`${service.typeName}.${rpc.name}`] ?? '';
  const inPath = pathFields.map((field) =>
    parameter(field, { name: field.name, place: 'path' }, schemas),
  );
  const inQuery = queryParametersOf(route)
    .filter(({ field }) => !pathFields.includes(field))
    .map(({ field, name }) => parameter(field, { name, place: 'query' }, schemas));
  return {
    operationId: `${service.name}_${rpc.name}`,
    tags: [service.name],
    summary: description.split('. ', 1)[0]?.replace(/\.$/, '') ?? rpc.name,
    description,
    ...(isPublic(rpc) ? { security: [] } : {}),
    parameters: [...inPath, ...inQuery],
    ...(body === undefined ? {} : { requestBody: requestBody(route, schemas) }),
    responses: {
      '200': {
        description: COMMENTS[rpc.output.typeName] ?? 'The answer.',
        content: { 'application/json': { schema: schemas.of(rpc.output) } },
      },
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}

function isPublic(rpc: DescMethod): boolean {
  return hasOption(rpc, scope) && getOption(rpc, scope).target === ScopeTarget.PUBLIC;
}

function parameter(
  field: DescField,
  { name, place }: { readonly name: string; readonly place: 'path' | 'query' },
  schemas: Schemas,
): unknown {
  return {
    ...{ name, in: place },
    required: place === 'path',
    description: COMMENTS[`${field.parent.typeName}.${field.name}`] ?? '',
    schema: schemas.ofField(field),
  };
}

function requestBody({ rpc, pathFields, body }: Route, schemas: Schemas): unknown {
  const schema =
    body === undefined || body === '*'
      ? bodySchema(rpc.input, pathFields, schemas)
      : schemas.ofField(body);
  return { required: true, content: { 'application/json': { schema } } };
}

/** The request without the fields that the path names. */
function bodySchema(
  input: DescMessage,
  pathFields: readonly DescField[],
  schemas: Schemas,
): JsonSchema {
  const fields = input.fields.filter((field) => !pathFields.includes(field));
  return schemas.object(input, fields);
}
