import { getOption, hasOption, type DescMethod, type Message } from '@bufbuild/protobuf';

import { scope, ScopeTarget, type ScopeRequirement } from '../../../gen/molten/v1/options_pb.ts';
import { missingScope, type Principal } from '../../domain/access/principal.ts';
import { ACTIONS } from '../../domain/access/scope.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import type { CallInterceptor } from '../call.ts';
import { nameOf } from '../dispatcher.ts';

/** Reports with SCOPE_MISSING or CREDENTIAL_MISSING what a caller lacks; returns when it lacks nothing. */
export type Authorizer = (principal: Principal, request: Message) => void;

/**
 * Lets a call pass when its caller holds what the proto of its RPC demands, and refuses everything else:
 * an RPC without a requirement is refused for everybody.
 */
export function createAuthorize(): CallInterceptor {
  const authorizers = new Map<DescMethod, Authorizer>();
  return (next) => (call) => {
    let authorize = authorizers.get(call.method);
    if (authorize === undefined) {
      authorize = compileAuthorizer(call.method);
      authorizers.set(call.method, authorize);
    }
    authorize(call.principal, call.request);
    return next(call);
  };
}

/** Compiles the requirement of one RPC. */
export function compileAuthorizer(method: DescMethod): Authorizer {
  if (!hasOption(method, scope)) return denyAll(method);
  const requirement = getOption(method, scope);
  switch (requirement.target) {
    case ScopeTarget.PUBLIC:
      return () => undefined;
    case ScopeTarget.AUTHENTICATED:
    case ScopeTarget.EACH_PART:
      return demandCredential;
    case ScopeTarget.KEY:
    case ScopeTarget.SOME_KEYS:
    case ScopeTarget.COLLECTION:
    case ScopeTarget.STORE:
      return compileScope(method, requirement);
    default:
      return denyAll(method);
  }
}

function compileScope(method: DescMethod, requirement: ScopeRequirement): Authorizer {
  const action = ACTIONS.find((one) => one === requirement.action);
  invariant(
    action !== undefined,
    `${nameOf(method)} demands the unknown action ${requirement.action}`,
  );
  const { target } = requirement;
  const collectionOf = fieldReader(method, requirement.collectionField || 'collection');
  const keyOf = fieldReader(method, requirement.keyField || 'key');
  return (principal, request) => {
    demandCredential(principal);
    const collection = target === ScopeTarget.STORE ? '*' : collectionOf(request);
    const key = target === ScopeTarget.KEY ? keyOf(request) : '*';
    if (isCovered(principal, target, { action, collection, key })) return;
    throw missingScope(principal, { action, collection, key });
  };
}

function isCovered(
  { scopes }: Principal,
  target: ScopeTarget,
  { action, collection, key }: Parameters<typeof missingScope>[1],
): boolean {
  switch (target) {
    case ScopeTarget.STORE:
      return scopes.coversStore(action);
    case ScopeTarget.KEY:
      return scopes.covers(action, collection, key);
    case ScopeTarget.COLLECTION:
      return scopes.coversCollection(action, collection);
    case ScopeTarget.SOME_KEYS:
      return scopes.reaches(action, collection);
    default:
      return false;
  }
}

/** Reads a string field of a request by the name it has in the proto. */
function fieldReader(method: DescMethod, name: string): (request: Message) => string {
  const field = method.input.fields.find((one) => one.name === name);
  if (field === undefined) return () => '';
  const { localName } = field;
  return (request) => {
    const value = (request as unknown as Readonly<Record<string, unknown>>)[localName];
    return typeof value === 'string' ? value : '';
  };
}

function demandCredential(principal: Principal): void {
  if (principal.kind !== 'anonymous') return;
  throw new DomainError(
    'CREDENTIAL_MISSING',
    'this needs a token; log in and send it as `Authorization: Bearer <token>`',
  );
}

function denyAll(method: DescMethod): Authorizer {
  return () => {
    throw new DomainError('SCOPE_MISSING', `${nameOf(method)} declares no scope and is refused`);
  };
}
