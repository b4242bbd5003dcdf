import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type {
  Collections,
  DropRequest,
  RulesChange,
} from '../../../src/domain/collections/collections.ts';
import { ADMINISTRATOR, caller, openDomain, refusalOf, type OpenDomain } from './open-domain.ts';

const CHANGE: RulesChange = {
  ...{ rules: {}, revision: undefined, allowMissing: false, validateOnly: false },
};
const DROP: DropRequest = {
  ...{ uid: undefined, allowMissing: false, validateOnly: false },
  durability: 'async',
};
const CREATE = { rules: {}, validateOnly: false };
const INDEX = { name: '', fields: [{ path: 'a', direction: 'asc' }], unique: false } as const;
const FIRST_PAGE = { after: '', limit: 100 };

describe('making a collection', () => {
  it('keeps its settings and starts at revision 1', async () => {
    await using domain = await openDomain();
    const rules = { schema: '{"type":"object"}', ttlMs: 5000, maxSize: 3 };
    const made = await domain.collections.create(ADMINISTRATOR, 'things', { ...CREATE, rules });
    expect(made).toMatchObject({
      record: { name: 'things', revision: 1n, documents: 0, createdAtMs: domain.clock.now() },
      rules: { schema: { enforcement: 'enforce' }, ttlMs: 5000, maxSize: 3 },
      isExpired: false,
    });
    expect(await domain.collections.get(ADMINISTRATOR, 'things')).toEqual(made);
  });

  it('is refused when there is one', async () => {
    await using domain = await openDomain();
    await domain.make('things');
    for (const validateOnly of [true, false]) {
      const request = { ...CREATE, validateOnly };
      const again = domain.collections.create(ADMINISTRATOR, 'things', request);
      expect(await refusalOf(again)).toMatchObject({ reason: 'COLLECTION_EXISTS' });
    }
  });

  it('succeeds once of many at the same time', async () => {
    await using domain = await openDomain();
    const all = await Promise.allSettled(
      Array.from({ length: 5 }, () => domain.collections.create(ADMINISTRATOR, 'things', CREATE)),
    );
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await domain.engine.findCollection('things'))?.revision).toBe(1n);
  });

  it('answers a retry with the same request id like the first time', async () => {
    await using domain = await openDomain();
    const request = { id: 'r1', principal: 'somebody', fingerprint: 'f' };
    const create = { ...CREATE, request };
    const first = await domain.collections.create(ADMINISTRATOR, 'things', create);
    expect(await domain.collections.create(ADMINISTRATOR, 'things', create)).toEqual(first);
    const other = { ...CREATE, request: { ...request, fingerprint: 'g' } };
    const reused = domain.collections.create(ADMINISTRATOR, 'others', other);
    expect(await refusalOf(reused)).toMatchObject({ reason: 'REQUEST_ID_REUSED' });
  });

  it('makes nothing when it only validates, and checks all the same', async () => {
    await using domain = await openDomain();
    const validate = { rules: { ttlMs: 1000 }, validateOnly: true };
    const planned = await domain.collections.create(ADMINISTRATOR, 'things', validate);
    expect(planned).toMatchObject({ record: { uid: '', revision: 0n }, rules: { ttlMs: 1000 } });
    expect(await domain.engine.findCollection('things')).toBeUndefined();
    const broken = { ...validate, rules: { schema: '{"type":1}' } };
    const refused = domain.collections.create(ADMINISTRATOR, 'things', broken);
    expect(await refusalOf(refused)).toMatchObject({ reason: 'SCHEMA_INVALID' });
  });

  it('removes the oldest documents beyond its size', async () => {
    await using domain = await openDomain();
    await domain.make('things', { maxSize: 2 });
    await domain.fill('things', { z: {}, a: {}, m: {} });
    expect(await domain.keysOf('things', ['a', 'm', 'z'])).toEqual(['a', 'm']);
  });
});

describe('changing a collection', () => {
  it('takes what is named, and counts the revision up', async () => {
    await using domain = await openDomain();
    await domain.make('things', { ttlMs: 5000, maxSize: 3 });
    const change = { ...CHANGE, rules: { maxSize: undefined }, revision: 1n };
    const changed = await domain.collections.update(ADMINISTRATOR, 'things', change);
    expect(changed).toMatchObject({ record: { revision: 2n }, rules: { ttlMs: 5000 } });
    expect(changed.rules.maxSize).toBeUndefined();
  });

  it('is refused at another revision, and changes nothing', async () => {
    await using domain = await openDomain();
    await domain.make('things');
    const change = { ...CHANGE, rules: { ttlMs: 1000 }, revision: 7n };
    const refused = await refusalOf(domain.collections.update(ADMINISTRATOR, 'things', change));
    expect(refused).toMatchObject({
      ...{ reason: 'VERSION_MISMATCH', metadata: { expected: '7', found: '1' } },
    });
    expect((await domain.engine.findCollection('things'))?.revision).toBe(1n);
  });

  it('loses none of several at the same time', async () => {
    await using domain = await openDomain();
    await domain.make('things');
    const changes = [{ ttlMs: 1000 }, { maxSize: 5 }, { schema: '{}' }];
    await Promise.all(
      changes.map((rules) =>
        domain.collections.update(ADMINISTRATOR, 'things', { ...CHANGE, rules }),
      ),
    );
    const { rules } = await domain.collections.get(ADMINISTRATOR, 'things');
    expect(rules).toMatchObject({ ttlMs: 1000, maxSize: 5, schema: { text: '{}' } });
  });

  it('makes a missing one only when asked to', async () => {
    await using domain = await openDomain();
    const { collections } = domain;
    expect(await refusalOf(collections.update(ADMINISTRATOR, 'things', CHANGE))).toMatchObject({
      ...{ reason: 'COLLECTION_NOT_FOUND', metadata: { collection: 'things' } },
    });
    const change = { ...CHANGE, rules: { ttlMs: 1000 }, allowMissing: true };
    const made = await collections.update(ADMINISTRATOR, 'things', change);
    expect(made).toMatchObject({ record: { revision: 1n }, rules: { ttlMs: 1000 } });
  });

  it('shows the outcome and changes nothing when it only validates', async () => {
    await using domain = await openDomain();
    await domain.make('things', { ttlMs: 5000 });
    const change = { ...CHANGE, rules: { maxSize: 1 }, validateOnly: true };
    const planned = await domain.collections.update(ADMINISTRATOR, 'things', change);
    expect(planned.rules).toMatchObject({ ttlMs: 5000, maxSize: 1 });
    const { record, rules } = await domain.collections.get(ADMINISTRATOR, 'things');
    expect({ revision: record.revision, maxSize: rules.maxSize }).toEqual({
      ...{ revision: 1n, maxSize: undefined },
    });
  });

  it('applies a new schema from the next check on', async () => {
    await using domain = await openDomain();
    const { collections } = domain;
    await domain.make('things', { schema: '{"required":["a"]}' });
    expect(await collections.validate(ADMINISTRATOR, 'things', {})).toHaveLength(1);
    const rules = { schema: '{"required":["b","c"]}' };
    await collections.update(ADMINISTRATOR, 'things', { ...CHANGE, rules });
    expect(await collections.validate(ADMINISTRATOR, 'things', {})).toHaveLength(2);
    await collections.drop(ADMINISTRATOR, 'things', DROP);
    expect(await collections.validate(ADMINISTRATOR, 'things', {})).toEqual([]);
  });
});

describe('dropping a collection', () => {
  it('takes documents, settings and indexes with it', async () => {
    await using domain = await openDomain();
    const { collections, engine } = domain;
    await domain.make('things', { ttlMs: 5000 });
    await domain.fill('things', { a: {}, b: {} });
    await collections.createIndex(ADMINISTRATOR, 'things', INDEX);
    const dropped = await collections.drop(ADMINISTRATOR, 'things', DROP);
    expect(dropped).toMatchObject({ documents: 2, commit: { durability: 'async' } });
    expect(await engine.findCollection('things')).toBeUndefined();
    await domain.make('things');
    expect(await domain.keysOf('things', ['a', 'b'])).toEqual([]);
    expect(await collections.listIndexes(ADMINISTRATOR, 'things')).toEqual([]);
    expect((await collections.get(ADMINISTRATOR, 'things')).rules.ttlMs).toBeUndefined();
  });

  it('spares a namesake made meanwhile', async () => {
    await using domain = await openDomain();
    const { collections } = domain;
    await domain.make('things');
    const { uid } = (await collections.get(ADMINISTRATOR, 'things')).record;
    await collections.drop(ADMINISTRATOR, 'things', { ...DROP, uid });
    await domain.make('things');
    const again = collections.drop(ADMINISTRATOR, 'things', { ...DROP, uid, allowMissing: true });
    const { reason, metadata } = await refusalOf(again);
    expect({ reason, expected: metadata['expected'] }).toEqual({
      ...{ reason: 'VERSION_MISMATCH', expected: uid },
    });
    expect(await domain.engine.findCollection('things')).toBeDefined();
  });

  it('of a missing one is an error unless that is allowed', async () => {
    await using domain = await openDomain();
    const { collections } = domain;
    const refused = await refusalOf(collections.drop(ADMINISTRATOR, 'things', DROP));
    expect(refused).toMatchObject({ reason: 'COLLECTION_NOT_FOUND' });
    const allowed = { ...DROP, allowMissing: true };
    expect(await collections.drop(ADMINISTRATOR, 'things', allowed)).toEqual({
      ...{ documents: 0, commit: undefined },
    });
  });

  it('only tells what would go when it only validates', async () => {
    await using domain = await openDomain();
    await domain.make('things', { ttlMs: 1000 });
    await domain.fill('things', { a: {} });
    const validate = { ...DROP, validateOnly: true };
    const drop = (): Promise<unknown> => domain.collections.drop(ADMINISTRATOR, 'things', validate);
    expect(await drop()).toEqual({ documents: 1, commit: undefined });
    domain.clock.advance(1000);
    expect(await drop()).toEqual({ documents: 0, commit: undefined });
    expect(await domain.keysOf('things', ['a'])).toEqual(['a']);
  });
});

describe('the list of collections', () => {
  it('shows those that the caller may read whole, by name, and none of the system', async () => {
    await using domain = await openDomain();
    for (const name of ['c', 'a', 'B', 'b', 'd']) await domain.make(name);
    await domain.fill('$users', { root: {} });
    const names = async (...scopes: readonly string[]): Promise<readonly string[]> => {
      const { collections } = await domain.collections.list(caller(...scopes), FIRST_PAGE);
      return collections.map(({ record }) => record.name);
    };
    expect(await names('*:*:*')).toEqual(['B', 'a', 'b', 'c', 'd']);
    expect(await names('read:*:*')).toEqual(['B', 'a', 'b', 'c', 'd']);
    expect(await names('read:b:*', 'read:d:*', 'read:c:x*', 'write:a:*')).toEqual(['b', 'd']);
    expect(await names('read:c:x')).toEqual([]);
    expect(await names()).toEqual([]);
  });

  it('comes in pages that skip nothing', async () => {
    await using domain = await openDomain();
    for (const name of ['a', 'b', 'c', 'd']) await domain.make(name);
    const page = async (after: string, limit: number): Promise<unknown> => {
      const { collections, next } = await domain.collections.list(caller('read:*:*'), {
        ...{ after, limit },
      });
      return [collections.map(({ record }) => record.name).join(''), next];
    };
    expect(await page('', 3)).toEqual(['abc', 'c']);
    expect(await page('c', 3)).toEqual(['d', '']);
    expect(await page('', 4)).toEqual(['abcd', '']);
    expect(await page('bb', 1)).toEqual(['c', 'c']);
  });
});

describe('who may', () => {
  type Attempt = (collections: Collections, scope: string, name: string) => Promise<unknown>;
  const ATTEMPTS: readonly (readonly [string, string, Attempt])[] = [
    ['create', 'schema', (all, scope, name) => all.create(caller(scope), name, CREATE)],
    ['get', 'read', (all, scope, name) => all.get(caller(scope), name)],
    ['update', 'schema', (all, scope, name) => all.update(caller(scope), name, CHANGE)],
    ['drop', 'delete', (all, scope, name) => all.drop(caller(scope), name, DROP)],
    ['validate', 'write', (all, scope, name) => all.validate(caller(scope), name, {})],
    [
      'create an index',
      'schema',
      (all, scope, name) => all.createIndex(caller(scope), name, INDEX),
    ],
    ['get an index', 'read', (all, scope, name) => all.getIndex(caller(scope), name, 'a')],
    ['list indexes', 'read', (all, scope, name) => all.listIndexes(caller(scope), name)],
    ['drop an index', 'schema', (all, scope, name) => all.dropIndex(caller(scope), name, 'a')],
  ];

  let domain: OpenDomain;

  beforeAll(async () => {
    domain = await openDomain();
    await domain.make('there');
    await domain.fill('$users', { root: {} });
  });

  afterAll(async () => {
    await domain[Symbol.asyncDispose]();
  });

  it.each(ATTEMPTS)('%s needs %s, whether or not there is one', async (_, action, attempt) => {
    const others = ['read', 'write', 'delete', 'schema', 'system'].filter((one) => one !== action);
    for (const scope of [...others.map((one) => `${one}:*:*`), `${action}:elsewhere:*`]) {
      for (const name of ['there', 'missing', '$users', 'not a name']) {
        const refused = await refusalOf(attempt(domain.collections, scope, name));
        expect(refused).toMatchObject({
          ...{ reason: 'SCOPE_MISSING', metadata: { action, collection: name } },
        });
      }
    }
  });

  it.each(ATTEMPTS)('%s cannot name a collection of the system', async (_, action, attempt) => {
    for (const scope of ['*:*:*', `${action}:*:*`]) {
      const refused = await refusalOf(attempt(domain.collections, scope, '$users'));
      expect(refused).toMatchObject({ reason: 'KEY_INVALID' });
    }
    expect(await domain.keysOf('$users', ['root'])).toEqual(['root']);
  });

  it('validate needs some keys only', async () => {
    await domain.make('things', { schema: '{"required":["a"]}' });
    const found = await domain.collections.validate(caller('write:things:x*'), 'things', {});
    expect(found).toHaveLength(1);
  });
});

describe('a strict server', () => {
  it('makes no collection by itself', async () => {
    await using domain = await openDomain({ strict: true });
    const { collections } = domain;
    for (const attempt of [
      () => collections.createIndex(ADMINISTRATOR, 'things', INDEX),
      () => collections.validate(ADMINISTRATOR, 'things', {}),
    ]) {
      expect(await refusalOf(attempt())).toMatchObject({ reason: 'COLLECTION_NOT_FOUND' });
    }
    await domain.make('things');
    expect(await collections.createIndex(ADMINISTRATOR, 'things', INDEX)).toMatchObject({
      ...{ collection: 'things', name: 'a' },
    });
  });
});
