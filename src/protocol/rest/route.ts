import { getOption, hasOption, type DescField, type DescMethod } from '@bufbuild/protobuf';

import { http } from '../../../gen/google/api/annotations_pb.ts';
import type { HttpRule } from '../../../gen/google/api/http_pb.ts';
import { invariant } from '../../errors/invariant.ts';
import { nameOf } from '../dispatcher.ts';

/** The HTTP methods that rules use. */
export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH';

/** One way to call an RPC over HTTP, compiled from its `google.api.http` rule. */
export interface Route {
  readonly rpc: DescMethod;
  readonly method: HttpMethod;
  /** As the rule has it, such as `/v1/collections/{collection}:validate`. */
  readonly template: string;
  /** As Fastify wants it, such as `/v1/collections/:collection(^[^:/]+)::validate`. */
  readonly url: string;
  /** Fields of the request that the path names. */
  readonly pathFields: readonly DescField[];
  /** `*`: the body is the request; a field: the body is that field; undefined: no body. */
  readonly body: '*' | DescField | undefined;
}

const METHODS = { get: 'GET', put: 'PUT', post: 'POST', delete: 'DELETE', patch: 'PATCH' } as const;
const VARIABLE = /\{([a-z_]+)\}/g;
const VARIABLE_WITH_VERB = /\{([a-z_]+)\}::/g;

/** All routes of an RPC. Only streams may declare none. */
export function routesOf(rpc: DescMethod): readonly Route[] {
  if (!hasOption(rpc, http)) {
    invariant(rpc.methodKind !== 'unary', `${nameOf(rpc)} has no google.api.http rule`);
    return [];
  }
  const rule = getOption(rpc, http);
  return [rule, ...rule.additionalBindings].map((one) => compile(rpc, one));
}

function compile(rpc: DescMethod, { pattern, body }: HttpRule): Route {
  const { case: verb, value: template } = pattern;
  invariant(verb !== undefined && verb !== 'custom', `${nameOf(rpc)} has a rule without a path`);
  const names = [...template.matchAll(VARIABLE)].map(([, name = '']) => name);
  // A colon starts a variable in Fastify, and two of them are a colon. A variable with a verb behind it
  // needs a pattern, or it would take the verb for a part of its value.
  const url = template
    .replaceAll(':', '::')
    .replaceAll(VARIABLE_WITH_VERB, (_, name: string) => `:${name}(^[^:/]+)::`)
    .replaceAll(VARIABLE, (_, name: string) => `:${name}`);
  return {
    ...{ rpc, template, url, method: METHODS[verb] },
    pathFields: names.map((name) => fieldOf(rpc, name)),
    body: body === '' ? undefined : body === '*' ? '*' : fieldOf(rpc, body),
  };
}

function fieldOf(rpc: DescMethod, name: string): DescField {
  const field = rpc.input.fields.find((one) => one.name === name);
  invariant(field !== undefined, `the rule of ${nameOf(rpc)} names the unknown field ${name}`);
  return field;
}
