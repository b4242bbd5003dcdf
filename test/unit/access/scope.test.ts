import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { parseScope, type Action } from '../../../src/domain/access/scope.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';

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
    ['users:a:*', 'granted whole'],
    ['audit:*:k', 'granted whole'],
    ['hide:a:*', 'invalid field'],
    ['hide:a:b..c', 'invalid field'],
    ['hide:a b:c', 'invalid collection'],
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
    [['admin:*:*'], 'read', 'a', 'k', true],
    [['admin:a:k*'], 'delete', 'a', 'kk', true],
    [['admin:a:*'], 'schema', 'b', 'k', false],
    [['admin:*:*'], 'users', '*', '*', false],
    [['users:*:*'], 'users', '*', '*', true],
    [['users:*:*'], 'read', 'a', 'k', false],
    [['*:*:*', 'only:a:*'], 'read', 'a', 'k', false],
    [['*:*:*', 'only:a:*'], 'read', 'b', 'k', true],
    [['write:*:*', 'read:a:*', 'only:a:*'], 'read', 'a', 'k', true],
    [['write:*:*', 'read:a:*', 'only:a:*'], 'write', 'a', 'k', false],
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
        if (isListed) expect(set.reaches('read', 'a') && set.reachesAny('read')).toBe(true);
      }),
    );
  });
});

describe('what two sets of scopes have in common', () => {
  const ACTIONS_TRIED = ['read', 'write', 'admin', 'schema', 'users'] as const;
  const keys = fc.constantFrom('*', 'a', 'ab', 'a*', 'ab*', 'b*');
  const one = fc.oneof(
    fc.constant('*:*:*'),
    fc.constant('users:*:*'),
    fc
      .tuple(fc.constantFrom('read', 'write', 'admin'), fc.constantFrom('a', 'b', '*'), keys)
      .map((parts) => parts.join(':')),
    fc.constantFrom('hide:a:pay', 'hide:*:pay.base', 'hide:b:x', 'only:a:*', 'only:b:*'),
  );
  const set = fc.array(one, { maxLength: 5 });

  it('is exactly what both grant, and hides what either hides', () => {
    fc.assert(
      fc.property(set, set, (left, right) => {
        const [a, b] = [createScopeSet(left), createScopeSet(right)];
        const both = a.meet(b);
        for (const action of ACTIONS_TRIED) {
          for (const collection of ['a', 'b', 'c']) {
            for (const key of ['a', 'ab', 'abc', 'b', 'x']) {
              const expected =
                a.covers(action, collection, key) && b.covers(action, collection, key);
              expect(both.covers(action, collection, key), both.texts.join()).toBe(expected);
            }
            expect(new Set(both.hiddenFields(collection))).toEqual(
              new Set([...a.hiddenFields(collection), ...b.hiddenFields(collection)]),
            );
          }
          expect(both.coversStore(action)).toBe(a.coversStore(action) && b.coversStore(action));
        }
        expect(both.isWithin(a) && both.isWithin(b)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('is within itself, and within the administrator', () => {
    fc.assert(
      fc.property(set, (texts) => {
        const scopes = createScopeSet(texts);
        expect(scopes.isWithin(scopes)).toBe(true);
        expect(scopes.isWithin(createScopeSet(['*:*:*']))).toBe(true);
      }),
    );
  });
});
