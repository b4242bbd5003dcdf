import { describe, expect, it } from 'vitest';

import fc from '../support/fast-check.ts';
import { toSequence } from '../../src/storage/types.ts';
import type { ContractSubject } from './storage-contract.ts';
import { field, keysOf, openStore, put, putWith, reasonOf, remove } from './support.ts';

/** Reads of the state right after a sequence of the past. */
export function describePast(subject: ContractSubject): void {
  describe('reads of the past', () => {
    it('see deleted, overwritten, cleared, dropped and recreated documents as they were', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const marks: bigint[] = [];
      const mark = async (): Promise<void> => {
        marks.push((await engine.head()).sequence);
      };
      await put(engine, 'a', { n: 1 });
      await put(engine, 'b', { n: 1 });
      await mark();
      await put(engine, 'a', { n: 2 });
      await remove(engine, 'b');
      await mark();
      await put(engine, 'b', { n: 3 });
      await engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.clearCollection('things');
      });
      await mark();
      await put(engine, 'c', {});
      await engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.dropCollection('things');
      });
      await mark();
      await put(engine, 'd', {});
      await mark();
      const keys = await Promise.all(marks.map((at) => keysOf(engine, {}, at)));
      expect(keys).toEqual([['a', 'b'], ['a'], [], [], ['d']]);
      const [before, after] = await Promise.all(
        marks.slice(0, 2).map((at) => engine.get('things', ['a'], { atSequence: toSequence(at) })),
      );
      expect([before?.[0]?.body, after?.[0]?.body]).toEqual(['{"n":1}', '{"n":2}']);
      expect([before?.[0]?.version, after?.[0]?.version]).toEqual([1n, 2n]);
      expect(await keysOf(engine, {}, 0n)).toEqual([]);
    });

    it('apply filters and expiry as of that moment', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      await putWith(engine, { key: 'a', body: { n: 1 }, expiresAtMs: clock.now() + 100 });
      const { sequence } = await engine.head();
      clock.advance(1000);
      await put(engine, 'b', { n: 1 });
      const filter = field('n', 'eq', 1);
      expect(await keysOf(engine, { filter })).toEqual(['b']);
      expect(await keysOf(engine, { filter }, sequence)).toEqual(['a']);
    });

    it('refuse a sequence that is not committed yet', async () => {
      await using store = await openStore(subject);
      await put(store.engine, 'a', {});
      const future = { atSequence: toSequence(99) };
      expect(await reasonOf(store.engine.get('things', ['a'], future))).toBe('SEQUENCE_IN_FUTURE');
      expect(await reasonOf(keysOf(store.engine, {}, 99n))).toBe('SEQUENCE_IN_FUTURE');
    });

    it('agree with a replay of the log at every sequence', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const step = fc.record({
        key: fc.constantFrom('a', 'b', 'c', 'd'),
        what: fc.constantFrom('put', 'put', 'put', 'delete', 'clear'),
      });
      const model = new Map<bigint, readonly string[]>();
      const live = new Set<string>();
      const steps = fc.sample(fc.array(step, { minLength: 60, maxLength: 60 }), {
        numRuns: 1,
        seed: 7,
      });
      for (const { key, what } of steps.flat()) {
        if (what === 'put') {
          await put(engine, key, {});
          live.add(key);
        } else if (what === 'delete') {
          await remove(engine, key);
          live.delete(key);
        } else if (live.size > 0) {
          await engine.transact({ durability: 'async' }, (transaction) => {
            transaction.clearCollection('things');
          });
          live.clear();
        }
        model.set((await engine.head()).sequence, [...live].sort());
      }
      for (const [sequence, keys] of model) {
        expect(await keysOf(engine, {}, sequence)).toEqual(keys);
      }
    });
  });
}
