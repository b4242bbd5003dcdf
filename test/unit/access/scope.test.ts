import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createScopeSet, parseScope, type Action } from '../../../src/domain/access/scope.ts';

describe('a scope', () => {
  it.each([
    ['', 'three parts'],
    ['read', 'three parts'],
    ['read:a', 'three parts'],
    ['read:a:b:c', 'three parts'],
    ['*:a:*', 'unknown action'],
    ['*:*:a', 'unknown action'],
    ['READ:a:*', 'unknown action'],
    ['read::*', 'invalid collection'],
    ['read:a b:*', 'invalid collection'],
    ['read:a*:*', 'invalid collection'],
    ['read:$users:*', 'invalid collection'],
    ['read:a:', 'invalid key'],
    ['read:a:*x', 'invalid key'],
    ['read:a:x*y', 'invalid key'],
    ['read:a:**', 'invalid key'],
    ['read:a:x/y', 'invalid key'],
    [`read:a:${'k'.repeat(600)}`, 'longer than 512'],
  ])('%j is refused', (text, problem) => {
    expect(() => parseScope(text)).toThrow(problem);
  });

  it.each<[readonly string[], Action, string, string, boolean]>([
    [['read:a:k'], 'read', 'a', 'k', true],
    [['read:a:k'], 'read', 'a', 'kk', false],
    [['read:a:k'], 'write', 'a', 'k', false],
    [['read:a:k'], 'read', 'b', 'k', false],
    [['read:a:k*'], 'read', 'a', 'kk', true],
    [['read:a:k*'], 'read', 'a', 'k', true],
    [['read:a:k*'], 'read', 'a', 'xk', false],
    [['read:*:k*'], 'read', 'z', 'k1', true],
    [['read:a:*'], 'read', 'a', 'anything', true],
    [['write:a:*'], 'delete', 'a', 'k', false],
    [['admin:*:*'], 'read', 'a', 'k', false],
    [['*:*:*'], 'delete', 'a', 'k', true],
    [[], 'read', 'a', 'k', false],
  ])('%j: %s on %s/%s is %s', (...[texts, action, collection, key, expected]) => {
    expect(createScopeSet(texts).covers(action, collection, key)).toBe(expected);
  });

  it('covers a collection or the store only as a whole', () => {
    const prefix = createScopeSet(['read:a:k*', 'read:b:*']);
    expect(['a', 'b'].map((name) => prefix.coversCollection('read', name))).toEqual([false, true]);
    expect(prefix.coversStore('read')).toBe(false);
    expect(createScopeSet(['read:*:*']).coversStore('read')).toBe(true);
    expect(createScopeSet(['read:*:*']).isAdmin).toBe(false);
  });
});

describe('a set of scopes', () => {
  const key = fc.stringMatching(/^[ab]{1,4}$/);
  const pattern = fc.oneof(
    key,
    key.map((text) => `${text}*`),
    fc.constant('*'),
  );
  const scope = fc
    .record({
      action: fc.constantFrom('read', 'write'),
      collection: fc.constantFrom('a', 'b', '*'),
      pattern,
    })
    .map(({ action, collection, pattern: keys }) => `${action}:${collection}:${keys}`);

  it('grants a key by name exactly when its access lists it', () => {
    fc.assert(
      fc.property(fc.array(scope, { maxLength: 6 }), key, (texts, asked) => {
        const set = createScopeSet(texts);
        const access = set.keyAccess('read', 'a');
        const isListed =
          access.kind === 'all' ||
          access.keys.includes(asked) ||
          access.prefixes.some((prefix) => asked.startsWith(prefix));
        expect(isListed).toBe(set.covers('read', 'a', asked));
        const named = set.collections('read');
        if (isListed) expect(named === 'all' || named.has('a')).toBe(true);
      }),
    );
  });
});
