import suite from 'json-patch-test-suite/tests.json' with { type: 'json' };
import specification from 'json-patch-test-suite/spec_tests.json' with { type: 'json' };
import { describe, expect, it } from 'vitest';

import { applyJsonPatch, type PatchOperation } from '../../../src/domain/documents/json-patch.ts';
import { hasReason } from '../../../src/errors/domain-error.ts';
import { isObject } from '../../../src/storage/query/path.ts';
import type { Json, JsonObject } from '../../../src/storage/types.ts';

const CHARS_MAX = 10_000;

const patch = (body: JsonObject, ...operations: readonly object[]): JsonObject =>
  applyJsonPatch(body, operations as readonly PatchOperation[], CHARS_MAX);

const reasonOf = (run: () => unknown): string => {
  try {
    return `gave ${JSON.stringify(run())}`;
  } catch (error) {
    for (const reason of ['PATCH_INVALID', 'DOCUMENT_TOO_LARGE'] as const) {
      if (hasReason(error, reason)) return reason;
    }
    return String(error);
  }
};

interface SuiteCase {
  readonly comment?: string;
  readonly doc?: Json;
  readonly patch?: readonly PatchOperation[];
  readonly expected?: Json;
  readonly error?: string;
  readonly disabled?: boolean;
}

const OPERATIONS = ['add', 'remove', 'replace', 'move', 'copy', 'test'];

/** The suite of the RFC's community, for documents that are objects before and after. */
const CASES = ([...suite, ...specification] as readonly unknown[] as readonly SuiteCase[])
  .filter(({ disabled, patch: operations }) => disabled !== true && operations !== undefined)
  .filter(({ doc, expected }) => isObject(doc) && (expected === undefined || isObject(expected)))
  // What is no operation is refused by the contract before it gets here.
  .filter(({ patch: operations = [] }) => operations.every(({ op }) => OPERATIONS.includes(op)));

describe('the JSON Patch test suite', () => {
  it.each(
    CASES.map((one, at) => [`${String(at)} ${one.comment ?? one.error ?? ''}`, one] as const),
  )('case %s', (_, { doc, patch: operations = [], expected, error }) => {
    const run = (): JsonObject => patch(doc as JsonObject, ...operations);
    if (error === undefined) expect(run()).toEqual(expected ?? doc);
    else expect(reasonOf(run)).toBe('PATCH_INVALID');
  });

  it('is large', () => {
    expect(CASES.length).toBeGreaterThan(60);
  });
});

describe('a JSON Patch', () => {
  it('applies all of its operations in order, to a copy', () => {
    const body = { a: 1, list: ['a', 'b'] };
    const result = patch(
      body,
      { op: 'test', path: '/a', value: 1 },
      { op: 'replace', path: '/a', value: 2 },
      { op: 'add', path: '/list/-', value: 'c' },
      { op: 'copy', path: '/b', from: '/list/0' },
      { op: 'move', path: '/c', from: '/a' },
      { op: 'remove', path: '/list/0' },
    );
    expect(result).toEqual({ list: ['b', 'c'], b: 'a', c: 2 });
    expect(body).toEqual({ a: 1, list: ['a', 'b'] });
  });

  const BODY = JSON.parse(
    '{"a":1,"s":"tt","o":{},"arr":[1,2,3],"x":"top","constructor":{"x":"in"}}',
  ) as JsonObject;

  it.each<[string, object]>([
    ['a test that fails', { op: 'test', path: '/a', value: 2 }],
    ['a path that is not there', { op: 'remove', path: '/y' }],
    ['a pointer that is none', { op: 'add', path: 'a', value: 1 }],
    ['a pointer with a bad escape', { op: 'add', path: '/a~2', value: 1 }],
    ['an index beyond the end', { op: 'add', path: '/arr/9', value: 1 }],
    ['a system field', { op: 'add', path: '/_v', value: 1 }],
    ['a system field to move from', { op: 'move', path: '/a', from: '/_v' }],
    ['the document by a value', { op: 'replace', path: '', value: 1 }],
    ['inherited members', { op: 'add', path: '/hasOwnProperty/call', value: 1 }],
    ['an inherited member to copy', { op: 'copy', path: '/y', from: '/toString' }],
    ['an inherited member to test', { op: 'test', path: '/toString', value: 1 }],
    ['an inherited member to remove', { op: 'remove', path: '/toString' }],
    ['a prototype to write to', { op: 'add', path: '/o/__proto__/p', value: 1 }],
    ['a prototype by another name', { op: 'replace', path: '/prototype/x', value: 9 }],
    ['the length of a list', { op: 'replace', path: '/arr/length', value: 4_294_967_295 }],
    ['the length of a list to remove', { op: 'remove', path: '/arr/length' }],
    ['the length of a text', { op: 'move', path: '/n', from: '/s/length' }],
    ['a character of a text', { op: 'replace', path: '/s/0', value: 'x' }],
    ['a member of a number', { op: 'add', path: '/a/b', value: 1 }],
    ['the end of a list to replace', { op: 'replace', path: '/arr/-', value: 1 }],
    ['an index with a zero', { op: 'replace', path: '/arr/01', value: 1 }],
    ['an index with a sign', { op: 'replace', path: '/arr/+1', value: 1 }],
    ['an index in another notation', { op: 'replace', path: '/arr/1e0', value: 1 }],
    ['no value to add', { op: 'add', path: '/y' }],
    ['no value to test', { op: 'test', path: '/a' }],
    ['no place to copy from', { op: 'copy', path: '/y' }],
    ['a place inside itself', { op: 'move', path: '/o/inner', from: '/o' }],
  ])('is refused for %s', (_, operation) => {
    expect(reasonOf(() => patch(BODY, operation))).toBe('PATCH_INVALID');
  });

  it('takes hostile names for names', () => {
    expect(patch(BODY, { op: 'remove', path: '/constructor/x' })).toMatchObject({
      ...{ x: 'top', constructor: {} },
    });
    const result = patch({}, { op: 'add', path: '/__proto__', value: { admin: true } });
    expect(JSON.stringify(result)).toBe('{"__proto__":{"admin":true}}');
    expect((result as { admin?: unknown }).admin).toBeUndefined();
  });

  it('says nothing of what a failed test has found', () => {
    const failing = (): unknown =>
      patch({ secret: 'S3CRET' }, { op: 'test', path: '/secret', value: 'x' });
    expect(failing).toThrow(/another value/);
    expect(failing).not.toThrow(/S3CRET/);
  });

  it('stops before copies of copies fill the memory', () => {
    const doubling = Array.from({ length: 60 }, (_, at) => ({
      ...{ op: 'copy', from: '', path: `/c${String(at)}` },
    }));
    expect(reasonOf(() => patch({ text: 'x'.repeat(100) }, ...doubling))).toBe(
      'DOCUMENT_TOO_LARGE',
    );
  });
});
