import { describe, expect, it } from 'vitest';

import {
  checkCollectionName,
  checkIndexName,
  checkKey,
} from '../../../src/domain/collections/names.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';

function refusalOf(check: () => void): string | undefined {
  try {
    check();
  } catch (error) {
    return hasReason(error, 'KEY_INVALID') ? error.message : String(error);
  }
  return undefined;
}

describe('the name of a collection', () => {
  it.each(['a', 'A-Z_09', 'x'.repeat(64), 'constructor', 'Admin'])('may be %s', (name) => {
    expect(
      refusalOf(() => {
        checkCollectionName(name);
      }),
    ).toBeUndefined();
  });

  it.each([
    ['', 'wants the name of a collection: 1 to 64'],
    ['x'.repeat(65), 'wants the name of a collection: 1 to 64'],
    ['a.b', 'wants the name of a collection'],
    ['a b', 'wants the name of a collection'],
    ['a\n', 'wants the name of a collection'],
    ['é', 'wants the name of a collection'],
    ['*', 'wants the name of a collection'],
    ['$users', 'wants the name of a collection'],
    ['admin', 'a reserved name'],
    ['system', 'a reserved name'],
    ['config', 'a reserved name'],
    ['internal', 'a reserved name'],
    ['__proto__', 'a reserved name'],
  ])('may not be %j', (name, problem) => {
    expect(
      refusalOf(() => {
        checkCollectionName(name, 'from');
      }),
    ).toContain(problem);
    expect(
      refusalOf(() => {
        checkCollectionName(name, 'from');
      }),
    ).toMatch(/^from is /);
  });

  it('is shown cut short when it is refused', () => {
    expect(
      refusalOf(() => {
        checkCollectionName('x'.repeat(10_000));
      })?.length,
    ).toBeLessThan(200);
  });
});

describe('the key of a document', () => {
  it.each(['a', '.', '..', 'A-Z_0.9', 'x'.repeat(256), '__proto__'])('may be %s', (key) => {
    expect(
      refusalOf(() => {
        checkKey(key);
      }),
    ).toBeUndefined();
  });

  it.each(['', 'x'.repeat(257), 'a/b', 'a*', 'a:b', 'a\u0000'])('may not be %j', (key) => {
    expect(
      refusalOf(() => {
        checkKey(key);
      }),
    ).toContain('wants a key: 1 to 256');
  });
});

describe('the name of an index', () => {
  it('is made of the characters of a collection, reserved names included', () => {
    expect(
      refusalOf(() => {
        checkIndexName('admin');
      }),
    ).toBeUndefined();
    expect(
      refusalOf(() => {
        checkIndexName('a.b');
      }),
    ).toContain('wants the name of an index: 1 to 64');
  });
});
