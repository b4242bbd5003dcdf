import { describe, expect, it } from 'vitest';

import type { Principal } from '../../../src/domain/access/principal.ts';
import { createScopeSet } from '../../../src/domain/access/scope-set.ts';
import { parseFigures } from '../../../src/domain/query/aggregation.ts';
import { parseJoins } from '../../../src/domain/query/join.ts';
import { parseProjection } from '../../../src/domain/query/projection.ts';
import { parseOrder } from '../../../src/domain/query/sort.ts';
import { parseWhere } from '../../../src/domain/query/where.ts';
import { demandAsked, type AskedParts } from '../../../src/domain/visibility/asked.ts';
import type { Omission } from '../../../src/domain/visibility/keep-hidden.ts';
import {
  demandNothingHidden,
  visibilityAnywhere,
  visibilityOf,
  type Visibility,
} from '../../../src/domain/visibility/visibility.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import type { Json, JsonObject } from '../../../src/storage/types.ts';
import { NOW_MS, storedDocument } from '../query/memory-engine.ts';

function principal(...scopes: readonly string[]): Principal {
  return {
    ...{ kind: 'token', subject: 'u', tokenId: 't', expiresAtMs: Infinity },
    scopes: createScopeSet(['read:*:*', ...scopes]),
  };
}

const hiding = (...fields: readonly string[]): Visibility =>
  visibilityOf(principal(...fields.map((field) => `hide:c:${field}`)), 'c');

/** The field that is refused; undefined when nothing is. */
function refused(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof DomainError) || error.reason !== 'SCOPE_MISSING') throw error;
    return error.metadata['field'] ?? '';
  }
}

describe('what is compiled', () => {
  it('is kept for what is asked again, and bounded for what callers make up', () => {
    const asker = principal('hide:*:x');
    const first = visibilityOf(asker, 'c0');
    expect(visibilityOf(principal('hide:*:x'), 'c0')).toBe(first);
    for (let at = 1; at <= 1000; at++) visibilityOf(asker, `c${String(at)}`);
    expect(visibilityOf(asker, 'c0')).not.toBe(first);
    // A name with what stands between names in it is another one.
    const odd = visibilityOf(asker, 'c0","y');
    expect(odd).not.toBe(visibilityOf(principal('hide:c0:y', 'hide:*:x'), 'c0'));
  });
});

describe('what is hidden from nobody', () => {
  it('is one and the same visibility, which does nothing', () => {
    const whole = visibilityOf(principal('hide:other:a'), 'c');
    const document = storedDocument('k', { a: 1 }, { expiresAtMs: NOW_MS });
    expect(whole).toBe(visibilityOf(principal(), 'd'));
    expect([whole.isWhole, whole.hidden, whole.show(document)]).toEqual([
      ...[true, undefined, document],
    ]);
    const body = { text: '{"a":1}', value: { a: 1 } };
    expect(whole.keepHidden(body, document, 'refused')).toBe(body);
  });
});

describe('showing', () => {
  const CASES: readonly (readonly [string, readonly string[], { body: Json; shown: Json }])[] = [
    ['a member', ['a'], { body: { a: 1, b: 2 }, shown: { b: 2 } }],
    ['all below a member', ['a'], { body: { a: { x: [1] } }, shown: {} }],
    ['a nested member', ['a.x'], { body: { a: { x: 1 }, b: 1 }, shown: { a: {}, b: 1 } }],
    [
      ...(['members of elements', ['a.x']] as const),
      { body: { a: [{ x: 1, y: 2 }, 3] }, shown: { a: [{ y: 2 }, 3] } },
    ],
    ['elements of elements', ['a.x'], { body: { a: [[{ x: 1 }]] }, shown: { a: [[{}]] } }],
    ['members below a number', ['a.x'], { body: { a: { 7: { x: 1 } } }, shown: { a: { 7: {} } } }],
    ['an element by its number', ['a.1'], { body: { a: [1, 2, 3] }, shown: { a: [1, null, 3] } }],
    [
      ...(['a member of one element', ['a.1.x']] as const),
      { body: { a: [{ x: 1 }, { x: 2 }] }, shown: { a: [{ x: 1 }, {}] } },
    ],
    ['several', ['a', 'b.x', 'b'], { body: { a: 1, b: { x: 1 }, c: 1 }, shown: { c: 1 } }],
    ['nothing elsewhere', ['a'], { body: { b: { a: 1 } }, shown: { b: { a: 1 } } }],
  ];

  it.each(CASES)('leaves out %s', (_, fields, { body, shown }) => {
    const { body: text } = hiding(...fields).show(storedDocument('k', body));
    expect(text).toBe(JSON.stringify(shown));
  });

  it('takes names that objects inherit for ordinary ones', () => {
    const document = { ...storedDocument('k', {}), body: '{"__proto__":{"x":1}}' };
    expect(hiding('__proto__.x').show(document).body).toBe('{"__proto__":{}}');
    expect(hiding('constructor').show(document).body).toBe(document.body);
  });

  it('writes text in one form, whether or not something was hidden, and keeps every digit', () => {
    const document = storedDocument('k', {});
    const show = (body: string): string => hiding('a').show({ ...document, body }).body;
    const visible = '"n":12345678901234567890,"m":1.0,"z":-0,"s":"1.0"';
    expect(show(`{ ${visible} }`)).toBe(`{${visible}}`);
    expect(show(`{"a":1e400, ${visible}}`)).toBe(`{${visible}}`);
  });

  it('leaves out when the document expires', () => {
    const document = storedDocument('k', {}, { expiresAtMs: NOW_MS });
    expect(hiding('a').show(document).expiresAtMs).toBeUndefined();
  });
});

describe('asking', () => {
  const scopes = ['hide:c:salary', 'hide:c:pay.base', 'hide:c:list.x', 'hide:c:tags.0'];
  const caller = principal(...scopes, 'hide:d:secret');
  const ask = (parts: AskedParts): string | undefined =>
    refused(() => {
      demandAsked(caller, 'c', parts);
    });
  const where = (filter: Json, joins?: unknown): string | undefined =>
    ask({ filter: parseWhere(filter), joins: parseJoins(joins) });

  it.each<readonly [Json, string]>([
    [{ salary: 1 }, 'salary'],
    [{ salary: { $exists: true } }, 'salary'],
    [{ 'salary.x': 1 }, 'salary.x'],
    [{ $or: [{ a: 1 }, { $not: { 'pay.base': { $gt: 1 } } }] }, 'pay.base'],
    [{ pay: { base: 1 } }, 'pay'],
    [{ pay: { $ne: {} } }, 'pay'],
    [{ pay: { $in: [1, { base: 1 }] } }, 'pay'],
    [{ 'list.3.x': 1 }, 'list.3.x'],
    [{ 'list.3': { x: 1 } }, 'list.3'],
    [{ list: { $contains: { x: 1 } } }, 'list'],
    [{ list: { $elemMatch: { y: 1, x: 1 } } }, 'list.x'],
    [{ list: { $elemMatch: { $eq: { x: 1 } } } }, 'list'],
    [{ list: { $elemMatch: { $elemMatch: { x: 1 } } } }, 'list.x'],
    [{ 'tags.0': 'a' }, 'tags.0'],
    [{ tags: { $contains: 'a' } }, 'tags'],
    [{ tags: { $all: ['a'] } }, 'tags'],
    [{ tags: { $elemMatch: { $eq: 'a' } } }, 'tags'],
    [{ _expiresAt: { $gt: 'a' } }, '_expiresAt'],
  ])('refuses %j, naming the field', (filter, field) => {
    expect(where(filter)).toBe(field);
  });

  it.each<Json>([
    { name: 'salary', 'pay.bonus': 1, _key: 'a', _v: 1 },
    { pay: { $exists: true }, list: { $size: 2 } },
    { pay: null },
    { pay: 5 },
    { pay: { $in: ['a', 1] } },
    { list: { $elemMatch: { y: { $gt: 1 } } } },
    { list: { $contains: 'a' } },
    { 'tags.1': 'a' },
    { 'other.salary': 1 },
  ])('lets %j pass, which depends on nothing hidden', (filter) => {
    expect(where(filter)).toBeUndefined();
  });

  it('refuses hidden fields of joined documents, by their alias', () => {
    const joins = [{ alias: 'd', from: 'd', on: 'dept' }];
    expect(where({ 'd.secret': 1 }, joins)).toBe('d.secret');
    expect(where({ 'd.name': 1 }, joins)).toBeUndefined();
    expect(where({ d: { name: 1 } }, joins)).toBe('d');
    const asked = { joins: parseJoins(joins) };
    expect(ask({ ...asked, order: parseOrder({ sort: ['d.secret'] }, { by: 'asked' }) })).toBe(
      'd.secret',
    );
    for (const [join, field] of [
      [{ alias: 'd', from: 'd', on: 'salary' }, 'salary'],
      [{ alias: 'd', from: 'd', on: 'pay' }, 'pay'],
      [{ alias: 'd', from: 'd', on: 'dept', fields: ['secret.x'] }, 'secret.x'],
      [{ alias: 'd', from: 'd', on: 'dept', fields: ['_expiresAt'] }, '_expiresAt'],
    ] as const) {
      expect(ask({ joins: parseJoins([join]) })).toBe(field);
    }
  });

  it('refuses to sort, group, sum and project by what is hidden', () => {
    const order = (path: string): AskedParts => ({
      order: parseOrder({ sort: [{ field: path }] }, { by: 'asked' }),
    });
    const figures = (kind: string, path: string, groupBy: readonly string[] = []): AskedParts =>
      parseFigures({ groupBy, metrics: [{ name: 'n', kind, path }] });
    const fields = (path: string): AskedParts => ({
      projection: parseProjection({ fields: [path] }),
    });
    const excluded = parseProjection({ excludedFields: ['salary'] });
    const parts = [
      ...[order('salary'), order('pay'), figures('sum', 'salary'), figures('distinct', 'pay')],
      ...[figures('count', 'salary'), figures('sum', 'a', ['list']), fields('pay.base')],
      ...[fields('_expiresAt'), { projection: excluded }],
    ];
    expect(parts.map(ask)).toEqual([
      ...['salary', 'pay', 'salary', 'pay', 'salary', 'list', 'pay.base', '_expiresAt', 'salary'],
    ]);
    const free = [order('pay.bonus'), figures('count', 'pay'), fields('pay'), fields('list')];
    expect(free.map(ask)).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('takes what is hidden in any collection for hidden where all are meant', () => {
    const anywhere = visibilityAnywhere(caller);
    expect(anywhere.isHidden(['secret'])).toBe(true);
    expect(visibilityAnywhere(principal()).isWhole).toBe(true);
    expect(refused(() => visibilityAnywhere(principal()))).toBeUndefined();
    expect(
      refused(() => {
        demandNothingHidden(caller, 'a restore');
      }),
    ).toBe('');
  });
});

describe('writing', () => {
  const put = (
    fields: readonly string[],
    { over, body, omission = 'keeps' }: { over: Json; body: JsonObject; omission?: Omission },
  ): unknown => {
    const text = JSON.stringify(body);
    const stored = storedDocument('k', over);
    return hiding(...fields).keepHidden({ text, value: body }, stored, omission).value;
  };

  it.each<
    readonly [string, readonly string[], readonly [over: Json, body: JsonObject, kept: Json]]
  >([
    ['a member', ['a'], [{ a: 1, b: 1 }, { b: 2 }, { a: 1, b: 2 }]],
    ['nothing that is not there', ['a'], [{ b: 1 }, { b: 2 }, { b: 2 }]],
    ['a nested one', ['a.x'], [{ a: { x: 1, y: 1 } }, { a: { y: 2 } }, { a: { x: 1, y: 2 } }]],
    ['the parent it is in', ['a.x'], [{ a: { x: 1, y: 1 } }, {}, { a: { x: 1 } }]],
    ['the parent it could be in', ['a.x'], [{ a: { y: 1 } }, {}, { a: {} }]],
    [
      ...(['that of changed elements', ['a.x']] as const),
      [{ a: [{ x: 1, y: 1 }] }, { a: [{ y: 2 }] }, { a: [{ x: 1, y: 2 }] }],
    ],
    ['an element by its number', ['a.0'], [{ a: [1, 2] }, { a: [null, 3] }, { a: [1, 3] }]],
  ])('keeps %s', (_, fields, [over, body, kept]) => {
    expect(put(fields, { over, body })).toEqual(kept);
  });

  it('follows elements that move, and leaves new ones without', () => {
    const over = { a: [{ x: 1, y: 1 }, { x: 2, y: 2 }, 'text'] };
    const swapped = { a: ['text', { y: 2 }, { y: 3 }, { y: 1 }] };
    expect(put(['a.x'], { over, body: swapped })).toEqual({
      a: ['text', { x: 2, y: 2 }, { y: 3 }, { x: 1, y: 1 }],
    });
  });

  it.each<
    readonly [string, readonly string[], readonly [over: Json, body: JsonObject, field: string]]
  >([
    ['a hidden member', ['a'], [{}, { a: null }, 'a']],
    ['one in an element', ['a.x'], [{}, { a: [{ y: 1 }, { x: 1 }] }, 'a.1.x']],
    ['an element by its number', ['a.0'], [{}, { a: [1] }, 'a.0']],
    ['another value in place of a parent', ['a.x'], [{ a: {} }, { a: 1 }, 'a']],
    ['fewer elements', ['a.x'], [{ a: [{ y: 1 }, { y: 2 }] }, { a: [{ y: 1 }] }, 'a']],
    ['no list for a list', ['a.x'], [{ a: [{ y: 1 }] }, {}, 'a']],
    ['elements it mistakes', ['a.x'], [{ a: [{ y: 1 }] }, { a: [{ y: 2 }, { y: 3 }] }, 'a']],
    ['fewer numbered elements', ['a.0'], [{ a: [1, 2] }, { a: [null] }, 'a']],
  ])('refuses %s', (_, fields, [over, body, field]) => {
    expect(refused(() => put(fields, { over, body }))).toBe(field);
  });

  it('refuses a change that takes a parent away, and lets go what can hold nothing hidden', () => {
    const omission = 'refused';
    const gone = { over: { a: { y: 1 } }, body: {}, omission } as const;
    expect(refused(() => put(['a.x'], gone))).toBe('a');
    expect(put(['a.x'], { over: { a: 1 }, body: {}, omission })).toEqual({});
    expect(put(['a.x'], { over: { a: [1, 2] }, body: { a: [] }, omission })).toEqual({ a: [] });
  });

  it('keeps the digits of what is written and of what is kept', () => {
    const text = '{"b":1.0,"c":98765432109876543210}';
    const body = { text, value: JSON.parse(text) as JsonObject };
    const stored = { ...storedDocument('k', {}), body: '{"a":12345678901234567890}' };
    expect(hiding('a').keepHidden(body, stored, 'keeps').text).toBe(
      '{"b":1.0,"c":98765432109876543210,"a":12345678901234567890}',
    );
  });

  it('goes through long lists that were turned round in no time', () => {
    const items = Array.from({ length: 50_000 }, (_, y) => ({ y, x: y + 1 }));
    const turned = items.map(({ y }) => ({ y })).reverse();
    const kept = put(['a.x'], { over: { a: items }, body: { a: turned } });
    expect(kept).toEqual({ a: items.toReversed() });
  });
});
