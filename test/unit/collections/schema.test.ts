import { describe, expect, it } from 'vitest';

import {
  compileSchema,
  SCHEMA_BYTES_MAX,
  SCHEMA_DEPTH_MAX,
  type SchemaViolation,
} from '../../../src/domain/collections/schema.ts';
import { DomainError } from '../../../src/errors/domain-error.ts';
import type { JsonObject } from '../../../src/storage/types.ts';

function violations(schema: unknown, body: JsonObject): readonly SchemaViolation[] {
  return compileSchema(JSON.stringify(schema))(body);
}

/** Whether a body fits; the schema may be text, for what an object literal cannot say. */
function fits(schema: string | object, body: JsonObject): boolean {
  const text = typeof schema === 'string' ? schema : JSON.stringify(schema);
  return compileSchema(text)(body).length === 0;
}

function refusalOf(text: string): DomainError {
  try {
    compileSchema(text);
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('the schema was taken');
}

/** `levels` objects inside each other, the innermost empty. */
function nested(levels: number, name: string): string {
  return `{"${name}":`.repeat(levels - 1) + '{}' + '}'.repeat(levels - 1);
}

/** Each level applies the next one twice: 2^levels checks of one value. */
function doubling(levels: number): object {
  const defs = Array.from({ length: levels }, (_, at) => {
    const next = { $ref: `#/$defs/d${String(at + 1)}` };
    return [`d${String(at)}`, { allOf: [next, next] }];
  });
  const last = [`d${String(levels)}`, { type: 'object' }];
  return { $ref: '#/$defs/d0', $defs: Object.fromEntries([...defs, last]) as object };
}

describe('a schema', () => {
  it('names each rule that a body breaks, by a pointer into the body', () => {
    const schema = {
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string' },
        tags: { type: 'array', items: { enum: ['x', 'y'] } },
        'a/b~c': { type: 'number' },
      },
      additionalProperties: false,
    };
    expect(violations(schema, { name: 'a', tags: ['x'], 'a/b~c': 1 })).toEqual([]);
    expect(violations(schema, { tags: ['x', 'z'], 'a/b~c': 'no', other: 1 })).toEqual([
      { path: '', description: "must have required property 'name'", member: 'name' },
      { path: '', description: 'must NOT have additional properties: "other"', member: 'other' },
      {
        path: '/tags/1',
        description: 'must be equal to one of the allowed values: ["x","y"]',
      },
      { path: '/a~1b~0c', description: 'must be number' },
    ]);
  });

  it('stops at a hundred violations and never shows a value', () => {
    const schema = { properties: { list: { items: { type: 'string' } } } };
    const found = violations(schema, { list: Array.from({ length: 150 }, () => 42_4242) });
    expect(found).toHaveLength(100);
    expect(JSON.stringify(found)).not.toContain('424242');
  });

  it('cuts long names of members short', () => {
    const name = 'n'.repeat(10_000);
    const [closed] = violations({ additionalProperties: false }, { [name]: 1 });
    expect(closed?.description.length).toBeLessThan(200);
    const [typed] = violations({ additionalProperties: { type: 'null' } }, { [name]: 1 });
    expect(typed?.path.length).toBeLessThan(1100);
  });

  it.each([
    ['a tree of itself', { properties: { kids: { items: { $ref: '#' } } }, required: ['n'] }],
    [
      'a definition',
      { $defs: { k: { required: ['n'] } }, properties: { kids: { items: { $ref: '#/$defs/k' } } } },
    ],
    [
      'an anchor',
      {
        $defs: { k: { $anchor: 'k', required: ['n'] } },
        properties: { kids: { items: { $ref: '#k' } } },
      },
    ],
    [
      'an id of its own',
      {
        $id: 'https://a.example/s',
        $defs: { k: { $id: 'k', required: ['n'] } },
        properties: { kids: { items: { $ref: 'https://a.example/k' } } },
      },
    ],
  ])('may refer to %s', (_, schema) => {
    expect(fits(schema, { n: 1, kids: [{ n: 1 }] })).toBe(true);
    expect(fits(schema, { n: 1, kids: [{}] })).toBe(false);
  });

  it('checks formats and multiples as people mean them', () => {
    expect(fits({ properties: { at: { format: 'date-time' } } }, { at: 'soon' })).toBe(false);
    expect(fits({ properties: { price: { multipleOf: 0.01 } } }, { price: 19.99 })).toBe(true);
    expect(fits({ properties: { price: { multipleOf: 0.01 } } }, { price: 19.999 })).toBe(false);
    expect(fits({ properties: { name: { pattern: '^\\p{L}+$' } } }, { name: 'Åsa' })).toBe(true);
  });

  it('knows what a body was given from what every object has', () => {
    expect(fits({ required: ['constructor'] }, {})).toBe(false);
    expect(fits({ properties: { toString: { type: 'string' } } }, {})).toBe(true);
    expect(fits({ dependentRequired: { valueOf: ['x'] } }, {})).toBe(true);
    const body = JSON.parse('{"__proto__":{"admin":true}}') as JsonObject;
    expect(fits({ additionalProperties: false }, body)).toBe(false);
    expect(fits({ required: ['admin'] }, body)).toBe(false);
  });

  it.each([
    ['an unknown keyword', '{"properties":{"a":{"tpe":"string"}}}', '/properties/a/tpe'],
    ['an unknown type', '{"properties":{"a":{"type":"strin"}}}', '/properties/a/type'],
    ['an unknown format', '{"items":{"format":"colour"}}', '/items/format'],
    ['a bound below zero', '{"minProperties":-1}', '/minProperties'],
    ['another dialect', '{"$schema":"http://json-schema.org/draft-07/schema#"}', '/$schema'],
    ['an address', '{"allOf":[{"$ref":"http://169.254.169.254/x"}]}', '/allOf/0/$ref'],
    ['a file', '{"$ref":"file:///etc/passwd"}', '/$ref'],
    ['a relative address', '{"properties":{"a":{"$ref":"other.json"}}}', '/properties/a/$ref'],
    ['a missing definition', '{"not":{"$ref":"#/$defs/none"}}', '/not/$ref'],
    ['a broken pattern', '{"properties":{"a/b":{"pattern":"(a"}}}', '/properties/a~1b/pattern'],
    ['a back-reference', '{"properties":{"a":{"pattern":"(a)\\\\1"}}}', '/properties/a/pattern'],
    ['a look-ahead', '{"patternProperties":{"(?=a)b":{}}}', '/patternProperties/(?=a)b'],
    ['a long pattern', `{"items":{"pattern":"${'a'.repeat(1001)}"}}`, '/items/pattern'],
    ['a pattern that unfolds', '{"items":{"pattern":"((a{1,99}b){9}c){9}"}}', '/items/pattern'],
    ['__proto__ as a member', '{"properties":{"__proto__":{"type":"null"}}}', '/properties'],
    ['__proto__ as required', '{"required":["a","__proto__"]}', '/required'],
    ['an asynchronous schema', '{"$async":true}', '/$async'],
    ['a wrong list', '{"required":"a"}', '/required'],
  ])('with %s is refused, and the place is named', (_, text, place) => {
    const { reason, metadata, message, violations: fields } = refusalOf(text);
    expect({ reason, metadata }).toEqual({ reason: 'SCHEMA_INVALID', metadata: { place } });
    expect(message).toContain(`the schema at '${place}' `);
    expect(fields).toMatchObject([{ field: `settings.schema${place}` }]);
    expect(message.length).toBeLessThan(2000);
  });

  it.each([
    ['that refers to itself for ever', '{"$ref":"#"}'],
    [
      'that goes round by two definitions',
      '{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}',
    ],
    ['that takes for ever', JSON.stringify(doubling(40))],
    ['that is a list', '[]'],
    ['that is a boolean', 'false'],
    ['with an id that is a trap', '{"$id":"__proto__"}'],
  ])('%s is refused', (_, text) => {
    expect(refusalOf(text)).toMatchObject({ reason: 'SCHEMA_INVALID', metadata: { place: '' } });
  });

  it('is at most 256 KiB of JSON', () => {
    const schemaOf = (bytes: number): string =>
      JSON.stringify({ description: 'd'.repeat(bytes - '{"description":""}'.length) });
    expect(fits(schemaOf(SCHEMA_BYTES_MAX), {})).toBe(true);
    expect(refusalOf(schemaOf(SCHEMA_BYTES_MAX + 1)).message).toContain('the limit is 262144');
  });

  it('is at most 64 levels deep, and hostile depth is refused like any other', () => {
    expect(fits(nested(SCHEMA_DEPTH_MAX, 'items'), {})).toBe(true);
    for (const levels of [SCHEMA_DEPTH_MAX + 1, 20_000]) {
      expect(refusalOf(nested(levels, 'items')).message).toContain('the limit of 64 levels');
    }
    expect(refusalOf('['.repeat(100_000) + ']'.repeat(100_000)).reason).toBe('SCHEMA_INVALID');
  });
});

describe('a check that would take for ever', () => {
  const deep = JSON.parse('{"a":'.repeat(60) + '{}' + '}'.repeat(60)) as JsonObject;
  const everything = Array.from({ length: 60_000 }, (_, n) => ({ n }));

  it.each([
    [
      'doubled at each level of the body',
      { properties: { a: { allOf: [{ $ref: '#' }, { $ref: '#' }] } } },
      deep,
    ],
    [
      'doubled by a definition of itself',
      {
        $ref: '#/$defs/d',
        $defs: {
          d: { properties: { a: { allOf: [{ $ref: '#/$defs/d' }, { $ref: '#/$defs/d' }] } } },
        },
      },
      deep,
    ],
    ['of each pair of items', { properties: { a: { uniqueItems: true } } }, { a: everything }],
  ])('%s ends, and the body does not fit', (_, schema, body) => {
    expect(violations(schema, body)).toMatchObject([
      { path: '', description: expect.stringContaining('takes longer to check') as string },
    ]);
    // The same validator goes on with the next body.
    expect(violations(schema, { b: [] })).toEqual([]);
  });

  it('does not come from a pattern', () => {
    const schema = { properties: { a: { pattern: '^(a+)+$' } } };
    expect(violations(schema, { a: `${'a'.repeat(50_000)}!` })).toMatchObject([
      { path: '/a', description: 'must match pattern "^(a+)+$"' },
    ]);
  });
});
