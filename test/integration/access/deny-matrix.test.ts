/**
 * Every RPC of the contract against every kind of caller. What is expected is read off the proto option
 * here, in another way than the server reads it; a new RPC is covered as soon as it exists.
 */
import { create, getOption, hasOption, type DescMethod } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';

import { scope, ScopeTarget } from '../../../gen/molten/v1/options_pb.ts';
import { ANONYMOUS, type Principal } from '../../../src/domain/access/principal.ts';
import { ACTIONS, STORE_ACTIONS } from '../../../src/domain/access/scope.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';
import { compileAuthorizer } from '../../../src/protocol/interceptors/authorize.ts';
import { SERVICES } from '../../../src/protocol/services/mounted.ts';

const METHODS: readonly DescMethod[] = Object.values(SERVICES).flatMap(({ methods }) => methods);

function principal(scopes: readonly string[]): Principal {
  return {
    ...{ kind: 'token', subject: 'u', tokenId: 't', expiresAtMs: Infinity },
    scopes: createScopeSet(scopes),
  };
}

/** What an authorizer says of a call on `things/k1`. */
function verdict(method: DescMethod, caller: Principal): string {
  const names = new Set(method.input.fields.map(({ name }) => name));
  const request = create(method.input, {
    ...(names.has('collection') ? { collection: 'things' } : {}),
    ...(names.has('key') ? { key: 'k1' } : {}),
  });
  try {
    compileAuthorizer(method)(caller, request);
    return 'passes';
  } catch (error) {
    if (hasReason(error, 'CREDENTIAL_MISSING')) return 'needs a token';
    return hasReason(error, 'SCOPE_MISSING') ? 'is denied' : String(error);
  }
}

/** The narrowest scopes that let each kind of target pass, and the next narrower that must not. */
function scopesFor(method: DescMethod): { readonly enough: string[]; readonly short: string[] } {
  const { action, target } = getOption(method, scope);
  switch (target) {
    case ScopeTarget.KEY:
      return {
        enough: [`${action}:things:k1`],
        short: [`${action}:things:k2`, `${action}:others:*`],
      };
    case ScopeTarget.SOME_KEYS:
      return { enough: [`${action}:things:zzz*`], short: [`${action}:others:*`] };
    case ScopeTarget.COLLECTION:
      return {
        enough: [`${action}:things:*`],
        short: [`${action}:things:k*`, `${action}:others:*`],
      };
    default:
      return { enough: [`${action}:*:*`], short: [] };
  }
}

/** Every action but this one, and but the one that stands for all on documents. */
function othersThan(action: string): readonly string[] {
  const isOfStore = STORE_ACTIONS.some((one) => one === action);
  return ACTIONS.filter((one) => one !== action && (isOfStore || one !== 'admin'));
}

describe.each(METHODS.map((method) => [method.name, method] as const))('%s', (_, method) => {
  const { target, action } = hasOption(method, scope)
    ? getOption(method, scope)
    : { target: 0, action: '' };
  const isOpen = target === ScopeTarget.PUBLIC;
  const isForAnyToken = target === ScopeTarget.AUTHENTICATED || target === ScopeTarget.EACH_PART;

  it('declares what its caller must hold', () => {
    expect(target).not.toBe(ScopeTarget.UNSPECIFIED);
    expect(action === '').toBe(isOpen || isForAnyToken);
  });

  it('asks a caller without a token for one, unless it is public', () => {
    expect(verdict(method, ANONYMOUS)).toBe(isOpen ? 'passes' : 'needs a token');
  });

  it('lets administrators pass', () => {
    expect(verdict(method, principal(['*:*:*']))).toBe('passes');
  });

  it('denies a token without scopes, unless any token will do', () => {
    expect(verdict(method, principal([]))).toBe(isOpen || isForAnyToken ? 'passes' : 'is denied');
  });

  it('takes the narrowest scope that covers it and none that does not', () => {
    if (isOpen || isForAnyToken) return;
    const { enough, short } = scopesFor(method);
    expect(verdict(method, principal(enough))).toBe('passes');
    for (const one of short)
      expect([one, verdict(method, principal([one]))]).toEqual([one, 'is denied']);
    const others = othersThan(action).map((other) => `${other}:*:*`);
    expect(verdict(method, principal(others))).toBe('is denied');
  });
});
