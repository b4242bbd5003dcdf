import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { compileProjection } from '../../../src/storage/query/project.ts';
import type { Path, Projection } from '../../../src/storage/query/query.ts';
import type { Json } from '../../../src/storage/types.ts';
import { storedDocument } from './memory-engine.ts';

const BODY: Json = {
  name: 'n',
  specs: { cpu: { cores: 8, brand: 'x' }, ram: 16 },
  tags: ['a', 'b', 'c'],
  items: [{ id: 1, note: 'p' }, { id: 2 }],
  empty: {},
};

function project(kind: Projection['kind'], paths: readonly string[], body: Json = BODY): unknown {
  const projection = { kind, paths: paths.map((path): Path => path.split('.')) };
  return JSON.parse(compileProjection(projection, [])(createCandidate(storedDocument('k', body))));
}

describe('inclusion', () => {
  it('rebuilds what is named, nested, and leaves out what is missing', () => {
    expect(project('include', ['specs.cpu.cores', 'name', 'no.such'])).toEqual({
      specs: { cpu: { cores: 8 } },
      name: 'n',
    });
    expect(project('include', ['specs.cpu.cores', 'specs', 'empty'])).toEqual({
      specs: { cpu: { cores: 8, brand: 'x' }, ram: 16 },
      empty: {},
    });
    expect(project('include', ['name.x', 'specs.ram.x'])).toEqual({});
  });

  it('keeps the places of elements', () => {
    expect(project('include', ['tags.1', 'items.1.id'])).toEqual({
      tags: [null, 'b'],
      items: [null, { id: 2 }],
    });
    expect(project('include', ['tags.9'])).toEqual({});
  });

  it('does not show system fields, which are no members of the body', () => {
    expect(project('include', ['_key', '_v', 'name'])).toEqual({ name: 'n' });
  });
});

describe('exclusion', () => {
  it('removes what is named and every object that becomes empty by it', () => {
    expect(project('exclude', ['specs.cpu.cores', 'tags', 'items', 'no.such'])).toEqual({
      name: 'n',
      specs: { cpu: { brand: 'x' }, ram: 16 },
      empty: {},
    });
    expect(project('exclude', ['specs.cpu.cores', 'specs.cpu.brand'])).toMatchObject({
      specs: { ram: 16 },
    });
    const nested = { a: { b: { c: 1 } }, d: 1 };
    expect(project('exclude', ['a.b.c'], nested)).toEqual({ d: 1 });
    expect(project('exclude', ['a', 'd'], nested)).toEqual({});
  });

  it('keeps the places of elements', () => {
    expect(project('exclude', ['tags.1', 'items.0.id'])).toMatchObject({
      tags: ['a', null, 'c'],
      items: [{ note: 'p' }, { id: 2 }],
    });
  });
});

describe('any projection', () => {
  const name = fc.constantFrom('a', 'b', '0', '1', '__proto__', 'constructor');
  const tree = fc.letrec<{ node: Json }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<Json[]>(1, 'x', null),
      fc.array(tie('node'), { maxLength: 3 }),
      fc
        .array(fc.tuple(name, tie('node')), { maxLength: 3 })
        .map((entries) => Object.fromEntries(entries)),
    ),
  })).node;
  const body = fc
    .array(fc.tuple(name, tree), { maxLength: 4 })
    .map((entries): Json => Object.fromEntries(entries));
  const paths = fc.array(fc.array(name, { minLength: 1, maxLength: 3 }), {
    ...{ minLength: 1, maxLength: 4 },
  });

  it('changes nothing when it is applied again', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('include' as const, 'exclude' as const),
        paths,
        body,
        (...all) => {
          const [kind, chosen, item] = all;
          const run = compileProjection({ kind, paths: chosen }, []);
          const once = run(createCandidate(storedDocument('k', item)));
          const again = run(createCandidate({ ...storedDocument('k', {}), body: once }));
          expect(again).toBe(once);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('returns the stored text byte for byte when nothing is asked', () => {
    const document = {
      ...storedDocument('k', {}),
      body: '{ "n": 12345678901234567890, "e": 1.0 }',
    };
    expect(compileProjection(undefined, [])(createCandidate(document))).toBe(document.body);
  });
});
