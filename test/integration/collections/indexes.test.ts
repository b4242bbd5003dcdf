import { describe, expect, it } from 'vitest';

import type { IndexField } from '../../../src/storage/types.ts';
import { ADMINISTRATOR, openDomain, refusalOf, type OpenDomain } from './open-domain.ts';

function field(path: string, direction: 'asc' | 'desc' = 'asc'): IndexField {
  return { path, direction };
}

async function declare(
  { collections }: OpenDomain,
  fields: readonly IndexField[],
  name = '',
): Promise<string> {
  const request = { name, fields, unique: false };
  return (await collections.createIndex(ADMINISTRATOR, 'things', request)).name;
}

describe('declaring an index', () => {
  it('makes the collection and a name when they are missing', async () => {
    await using domain = await openDomain();
    expect(await declare(domain, [field('specs.cpu'), field('price', 'desc')])).toBe(
      'specs_cpu_price-desc',
    );
    expect(await declare(domain, [field('price')], 'mine')).toBe('mine');
    const all = await domain.collections.listIndexes(ADMINISTRATOR, 'things');
    expect(all.map(({ name }) => name)).toEqual(['mine', 'specs_cpu_price-desc']);
    expect(await domain.collections.getIndex(ADMINISTRATOR, 'things', 'mine')).toEqual(all[0]);
  });

  it('numbers made-up names that would be the same', async () => {
    await using domain = await openDomain();
    expect(await declare(domain, [field('a.b')])).toBe('a_b');
    expect(await declare(domain, [field('a_b')])).toBe('a_b_2');
    expect(await declare(domain, [field('a'), field('b')])).toBe('a_b_3');
    const long = 'x'.repeat(100);
    expect(await declare(domain, [field(`${long}1`)])).toBe('x'.repeat(64));
    expect(await declare(domain, [field(`${long}2`)])).toBe(`${'x'.repeat(62)}_2`);
  });

  it('twice is refused, named or not', async () => {
    await using domain = await openDomain();
    await declare(domain, [field('a.b')]);
    const unnamed = declare(domain, [field('a.b')]);
    expect(await refusalOf(unnamed)).toMatchObject({ reason: 'INDEX_EXISTS' });
    const named = declare(domain, [field('c')], 'a_b');
    expect(await refusalOf(named)).toMatchObject({ reason: 'INDEX_EXISTS' });
  });

  it.each<[string, readonly IndexField[], string]>([
    ['no field', [], 'fields'],
    ['nine fields', Array.from({ length: 9 }, (_, at) => field(`f${String(at)}`)), 'fields'],
    ['a path that is none', [field('a'), field('b..c')], 'fields[1].path'],
    ['one path twice', [field('a'), field('a', 'desc')], 'fields[1].path'],
  ])('over %s is refused before anything is made', async (_, fields, at) => {
    await using domain = await openDomain();
    expect(await refusalOf(declare(domain, fields))).toMatchObject({
      ...{ reason: 'ARGUMENT_INVALID', metadata: { field: at } },
    });
    expect(await domain.engine.findCollection('things')).toBeUndefined();
  });

  it('with a name that is none is refused', async () => {
    await using domain = await openDomain();
    const refused = await refusalOf(declare(domain, [field('a')], 'a b'));
    expect(refused).toMatchObject({ reason: 'KEY_INVALID', metadata: { field: 'index' } });
  });
});

describe('an index that is not there', () => {
  it('is neither found nor dropped', async () => {
    await using domain = await openDomain();
    const { collections } = domain;
    await domain.make('things');
    for (const [name, reason] of [
      ['nowhere', 'COLLECTION_NOT_FOUND'],
      ['things', 'INDEX_NOT_FOUND'],
    ] as const) {
      const found = collections.getIndex(ADMINISTRATOR, name, 'a');
      expect(await refusalOf(found)).toMatchObject({ reason });
      const dropped = collections.dropIndex(ADMINISTRATOR, name, 'a');
      expect(await refusalOf(dropped)).toMatchObject({ reason });
    }
  });

  it('is what is left of a dropped one', async () => {
    await using domain = await openDomain();
    const name = await declare(domain, [field('a')]);
    await domain.collections.dropIndex(ADMINISTRATOR, 'things', name);
    expect(await domain.collections.listIndexes(ADMINISTRATOR, 'things')).toEqual([]);
  });
});
