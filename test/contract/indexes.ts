import { describe, expect, it } from 'vitest';

import fc from '../support/fast-check.ts';
import type { ContractSubject } from './storage-contract.ts';
import {
  builtIndex,
  field,
  indexSpec,
  keysOf,
  openStore,
  put,
  QUERY,
  reasonOf,
  remove,
} from './support.ts';

/** Declared indexes: built online, kept in step, unique when asked. */
export function describeIndexes(subject: ContractSubject): void {
  describe('indexes', () => {
    it('are built while writes go on, and miss nothing', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await engine.transact({ durability: 'async' }, (transaction) => {
        for (let at = 0; at < 3000; at++) {
          const body = JSON.stringify({ n: at % 100 });
          transaction.put({ collection: 'things', key: `k${at.toString()}`, body });
        }
      });
      const declared = await engine.createIndex(indexSpec('n', ['n']));
      expect(declared.state).toBe('building');
      for (let at = 0; at < 50; at++) {
        await put(engine, `k${(at * 60).toString()}`, { n: 7 });
        await put(engine, `new${at.toString()}`, { n: 7 });
        await remove(engine, `k${(at * 60 + 7).toString()}`);
      }
      const built = await builtIndex(engine, 'n');
      expect(built).toMatchObject({ state: 'ready', failure: '' });
      const filter = field('n', 'eq', 7);
      const plan = await engine.explain({ ...QUERY, filter });
      expect(plan).toMatchObject({ access: 'index', index: 'n', indexFieldsUsed: 1 });
      const byIndex = await keysOf(engine, { filter });
      await engine.dropIndex('things', 'n');
      expect((await engine.explain({ ...QUERY, filter })).access).toBe('scan');
      expect(byIndex).toEqual(await keysOf(engine, { filter }));
      expect(byIndex.length).toBeGreaterThan(100);
    });

    it('survive a restart in the middle of their building', async () => {
      await using store = await openStore(subject);
      await store.engine.transact({ durability: 'sync' }, (transaction) => {
        for (let at = 0; at < 2000; at++) {
          transaction.put({ collection: 'things', key: `k${at.toString()}`, body: '{"n":1}' });
        }
      });
      await store.engine.createIndex(indexSpec('n', ['n']));
      const engine = await store.reopen();
      expect(await builtIndex(engine, 'n')).toMatchObject({ state: 'ready', documentsDone: 2000 });
      expect(await keysOf(engine, { filter: field('n', 'eq', 1) })).toHaveLength(2000);
    });

    it('are known by name, once', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      expect(await reasonOf(engine.createIndex(indexSpec('n', ['n'])))).toBe(
        'COLLECTION_NOT_FOUND',
      );
      await put(engine, 'a', { n: 1 });
      await engine.createIndex(indexSpec('n', ['n']));
      expect(await reasonOf(engine.createIndex(indexSpec('n', ['m'])))).toBe('INDEX_EXISTS');
      expect(await reasonOf(engine.dropIndex('things', 'm'))).toBe('INDEX_NOT_FOUND');
      await builtIndex(engine, 'n');
      const record = await engine.findCollection('things');
      await engine.dropIndex('things', 'n');
      expect(await engine.indexes('things')).toEqual([]);
      expect((await engine.findCollection('things'))?.revision).toBe((record?.revision ?? 0n) + 1n);
    });

    it('refuse a second holder of a unique value and let go of it', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { mail: 'x@example.org' });
      await put(engine, 'none', {});
      await engine.createIndex(indexSpec('mail', ['mail'], true));
      await builtIndex(engine, 'mail');
      expect(await reasonOf(put(engine, 'b', { mail: 'X@example.org' }))).toBe('UNIQUE_VIOLATION');
      await put(engine, 'none2', {});
      await put(engine, 'a', { mail: 'y@example.org' });
      await put(engine, 'b', { mail: 'x@example.org' });
      await remove(engine, 'b');
      await put(engine, 'c', { mail: 'x@example.org' });
      expect(await keysOf(engine)).toEqual(['a', 'c', 'none', 'none2']);
    });

    it('let two documents swap unique values in one transaction', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      await put(engine, 'b', { n: 2 });
      await engine.createIndex(indexSpec('n', ['n'], true));
      await builtIndex(engine, 'n');
      await engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.put({ collection: 'things', key: 'a', body: '{"n":2}' });
        transaction.put({ collection: 'things', key: 'b', body: '{"n":1}' });
      });
      expect(await keysOf(engine, { filter: field('n', 'eq', 1) })).toEqual(['b']);
    });

    it('fail to become unique over duplicates, and then guard nothing', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      await put(engine, 'b', { n: 1 });
      await engine.createIndex(indexSpec('n', ['n'], true));
      const failed = await builtIndex(engine, 'n');
      expect(failed.state).toBe('failed');
      expect(failed.failure).toContain("'a' and 'b'");
      await put(engine, 'c', { n: 1 });
      expect((await engine.explain({ ...QUERY, filter: field('n', 'eq', 1) })).access).toBe('scan');
    });

    it('give the answers of a scan, whatever the values', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const value = fc.oneof(
        fc.constantFrom(null, true, false, 'a', 'A', 'ab', '', 'ä', 'Ä'),
        fc.integer({ min: -3, max: 3 }),
        fc.constantFrom(1.5, -0, 1e300),
        fc.constant([1]),
        fc.constant({ b: 1 }),
      );
      const body = fc.record({ n: value, m: value }, { requiredKeys: [] });
      const op = fc.constantFrom('eq' as const, 'gt' as const, 'gte' as const, 'lt' as const);
      await put(engine, 'seed', {});
      await engine.createIndex(indexSpec('nm', ['n', 'm']));
      await builtIndex(engine, 'nm');
      // Only here: a first case that asks for what has no `n` would find it.
      await engine.transact({ durability: 'async' }, (transaction) => {
        transaction.clearCollection('things');
      });
      const check = fc.asyncProperty(
        fc.array(body, { minLength: 1, maxLength: 12 }),
        fc.record({ op, value, direction: fc.constantFrom('asc' as const, 'desc' as const) }),
        async (bodies, { op: comparison, value: operand, direction }) => {
          await engine.transact({ durability: 'async' }, (transaction) => {
            bodies.forEach((one, at) => {
              const text = JSON.stringify(one);
              transaction.put({ collection: 'things', key: at.toString(), body: text });
              transaction.put({ collection: 'plain', key: at.toString(), body: text });
            });
          });
          const query = {
            filter: field('n', comparison, operand),
            order: { by: 'fields' as const, fields: [{ path: ['n'], direction }] },
          };
          const indexed = await keysOf(engine, query);
          expect(indexed).toEqual(await keysOf(engine, { ...query, collection: 'plain' }));
          await engine.transact({ durability: 'async' }, (transaction) => {
            transaction.clearCollection('things');
            transaction.clearCollection('plain');
          });
        },
      );
      await fc.assert(check, { numRuns: 60 });
    });
  });
}
