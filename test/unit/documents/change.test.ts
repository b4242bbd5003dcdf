import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { encodeBody, parseBody } from '../../../src/domain/documents/body.ts';
import {
  applyChange,
  mergePatch,
  type DocumentChange,
} from '../../../src/domain/documents/change.ts';
import type { Transform } from '../../../src/domain/documents/transform.ts';
import { isObject } from '../../../src/storage/query/path.ts';
import type { Json, JsonObject } from '../../../src/storage/types.ts';

const NOW_MS = Date.UTC(2026, 0, 31);
const NOTHING: DocumentChange = { merge: undefined, patch: [], transforms: [] };

const change = (body: JsonObject, part: Partial<DocumentChange>): JsonObject =>
  applyChange(body, { ...NOTHING, ...part }, { nowMs: NOW_MS, bytesMax: 10_000 });

const reasonOf = (run: () => unknown): unknown => {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof Error && 'reason' in error ? error.reason : error;
  }
};

describe('a merge', () => {
  // The table of RFC 7396, appendix A, for objects.
  it.each<[JsonObject, JsonObject, JsonObject]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('of %j by %j is %j', (body, value, expected) => {
    expect(change(body, { merge: { value, paths: { kind: 'patch' } } })).toEqual(expected);
  });

  it('takes paths, and removes those it does not have', () => {
    const body = { a: 1, b: { c: 1, d: 1 }, e: 1 };
    const paths = [['b', 'c'], ['e'], ['f', 'g']];
    const value = { b: { c: 2, x: 9 }, f: { g: null } };
    expect(change(body, { merge: { value, paths: { kind: 'paths', paths } } })).toEqual({
      ...{ a: 1, b: { c: 2, d: 1 }, f: { g: null } },
    });
    expect(change(body, { merge: { value, paths: { kind: 'replace' } } })).toEqual(value);
  });

  it('does what the RFC says step by step, and leaves its inputs alone', () => {
    const json = fc.letrec((tie) => ({
      value: fc.oneof(fc.constantFrom<Json>(null, 1, 'x', [1]), tie('object')),
      object: fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), tie('value'), { maxKeys: 3 }),
    })).object as fc.Arbitrary<JsonObject>;
    fc.assert(
      fc.property(json, json, (target, patch) => {
        const before = JSON.stringify([target, patch]);
        expect(mergePatch(target, patch)).toEqual(reference(target, patch));
        expect(JSON.stringify([target, patch])).toBe(before);
      }),
    );
  });
});

/** The pseudo-code of RFC 7396, section 2, on lists of members. */
function reference(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  let members = isObject(target) ? Object.entries(target) : [];
  for (const [name, value] of Object.entries(patch)) {
    const at = members.findIndex(([other]) => other === name);
    if (value === null) members = members.filter(([other]) => other !== name);
    else if (at === -1) members.push([name, reference(null, value)]);
    else members[at] = [name, reference(members[at]?.[1] ?? null, value)];
  }
  return Object.fromEntries(members);
}

describe('a transform', () => {
  const path = ['a', 'b'];
  it.each<[string, Json | undefined, Transform, Json | undefined]>([
    ['increment', 1, { kind: 'increment', path, by: 2 }, 3],
    ['increment of nothing', undefined, { kind: 'increment', path, by: -2 }, -2],
    ['minimum', 5, { kind: 'minimum', path, value: 3 }, 3],
    ['minimum that holds', 2, { kind: 'minimum', path, value: 3 }, 2],
    ['maximum', 5, { kind: 'maximum', path, value: 7 }, 7],
    ['maximum of nothing', undefined, { kind: 'maximum', path, value: 7 }, 7],
    [
      'append-missing',
      [1, { x: 1 }],
      { kind: 'appendMissing', path, values: [{ x: 1 }, 2, 2] },
      [1, { x: 1 }, 2],
    ],
    ['remove-all', [1, 2, 1], { kind: 'removeAll', path, values: [1] }, [2]],
    ['remove-all of nothing', undefined, { kind: 'removeAll', path, values: [1] }, []],
    ['server time', 'x', { kind: 'serverTime', path }, '2026-01-31T00:00:00.000Z'],
    ['unset', 1, { kind: 'unset', path }, undefined],
    ['unset of nothing', undefined, { kind: 'unset', path }, undefined],
  ])('%s', (...[, before, transform, after]) => {
    const body: JsonObject = before === undefined ? { c: 1 } : { a: { b: before }, c: 1 };
    const changed = change(body, { transforms: [transform] });
    expect((changed['a'] as JsonObject | undefined)?.['b']).toEqual(after);
    expect(changed['c']).toBe(1);
  });

  it.each<[Json, Transform]>([
    ['text', { kind: 'increment', path, by: 1 }],
    [null, { kind: 'increment', path, by: 1 }],
    [1.7e308, { kind: 'increment', path, by: 1.7e308 }],
    ['text', { kind: 'appendMissing', path, values: [1] }],
    [{}, { kind: 'removeAll', path, values: [1] }],
  ])('on %j is refused', (before, transform) => {
    expect(reasonOf(() => change({ a: { b: before } }, { transforms: [transform] }))).toBe(
      'PATCH_INVALID',
    );
  });

  it('does not walk through what is no object', () => {
    const transforms: Transform[] = [{ kind: 'increment', path, by: 1 }];
    expect(reasonOf(() => change({ a: 'text' }, { transforms }))).toBe('PATCH_INVALID');
  });
});

describe('a body', () => {
  it.each<[string, string]>([
    ['a list', '[]'],
    ['text', '"x"'],
    ['no JSON', '{'],
    ['a name twice', '{"a":1,"a":2}'],
    ['a name twice, deep inside', '{"a":[{"b":1,"c":"\\":","b":2}]}'],
    ['a name twice, escaped', '{"a":1,"\\u0061":2}'],
    ['a system name', '{"_key":"x"}'],
    ['half of a surrogate pair', '{"a":"\\udc00"}'],
    ['half of a pair in a name', '{"\\ud800":1}'],
    ['65 levels', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`],
    ['a number beyond all bounds', '{"a":1e999}'],
  ])('of %s is refused', (_, text) => {
    expect(reasonOf(() => parseBody(text, 'body', 1000))).toBe('ARGUMENT_INVALID');
  });

  it.each([
    ['colons and quotes in text', '{"a":"x:\\"y\\":","b":{"c":":"}}'],
    ['every digit', '{"a":9007199254740993}'],
    ['64 levels', `${'{"a":'.repeat(64)}1${'}'.repeat(64)}`],
    ['hostile names', '{"__proto__":{"a":1},"constructor":1}'],
    ['a NUL', '{"a":"\\u0000"}'],
  ])('of %s is kept as it came', (_, text) => {
    expect(parseBody(text, 'body', 1000).text).toBe(text);
  });

  it('is bounded in bytes, not in characters', () => {
    const fits = { a: 'ä'.repeat(10) };
    const bytes = Buffer.byteLength(JSON.stringify(fits));
    expect(reasonOf(() => encodeBody(fits, 'body', bytes))).toBeUndefined();
    expect(reasonOf(() => encodeBody(fits, 'body', bytes - 1))).toBe('DOCUMENT_TOO_LARGE');
  });
});
