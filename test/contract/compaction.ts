import { describe, expect, it } from 'vitest';

import fc from '../support/fast-check.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { toSequence } from '../../src/storage/types.ts';
import { delay } from '../../src/platform/timers.ts';
import type { ContractSubject } from './storage-contract.ts';
import { keysOf, openStore, put, reasonOf, remove } from './support.ts';

/** The floor: what lies below it is refused and freed, what lies at or above it stays as it was. */
export function describeCompaction(subject: ContractSubject): void {
  describe('compaction', () => {
    it('refuses what lies below the floor and keeps all above it, over a restart too', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      await put(engine, 'b', { n: 1 });
      const { sequence: early } = await put(engine, 'a', { n: 2 });
      await remove(engine, 'b');
      const { sequence: floor } = await put(engine, 'c', { n: 1 });
      const { sequence: late } = await put(engine, 'c', { n: 2 });
      expect(await engine.compact(floor)).toBe(floor);
      await untilFreed(engine);
      const check = async (open: StorageEngine): Promise<void> => {
        const { epoch, oldest } = await open.head();
        expect(oldest).toBe(floor);
        expect(await reasonOf(keysOf(open, {}, early))).toBe('SEQUENCE_COMPACTED');
        const below = { epoch, sequence: early };
        expect(await reasonOf(open.readLog(below, { limit: 1 }))).toBe('SEQUENCE_COMPACTED');
        expect(await keysOf(open, {}, floor)).toEqual(['a', 'c']);
        expect(await open.readLog({ epoch, sequence: floor }, { limit: 9 })).toMatchObject([
          { sequence: late, key: 'c', version: 2n },
        ]);
      };
      await check(engine);
      await check(await store.reopen());
    });

    it('never goes back, never reaches the newest entry, and waits for pins', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      for (let n = 0; n < 10; n++) await put(engine, 'a', { n });
      const { sequence: last } = await engine.head();
      let pinned: bigint | undefined = 4n;
      const unpin = engine.pin(() => (pinned === undefined ? undefined : toSequence(pinned)));
      expect(await engine.compact(toSequence(8))).toBe(4n);
      pinned = undefined;
      expect(await engine.compact(toSequence(6))).toBe(6n);
      expect(await engine.compact(toSequence(3))).toBe(6n);
      unpin();
      expect(await engine.compact(toSequence(last + 100n))).toBe(last - 1n);
      expect(await keysOf(engine)).toEqual(['a']);
      const { version } = await put(engine, 'a', { n: 99 });
      expect(version).toBe(11n);
    });

    it('ends between commits', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const { sequence } = await put(engine, 'a', { n: 1 });
      await engine.transact({ durability: 'sync' }, (transaction) => {
        for (const key of ['a', 'b', 'c'])
          transaction.put({ collection: 'things', key, body: '{}' });
      });
      const { sequence: last } = await engine.head();
      expect(await engine.compact(last)).toBe(sequence);
    });

    it('frees what was replaced, deleted, cleared and dropped', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const text = 'x'.repeat(1000);
      for (let n = 0; n < 50; n++) await put(engine, `k${String(n)}`, { text });
      for (let n = 0; n < 50; n++) await put(engine, `k${String(n % 25)}`, { text, n });
      for (const at of [0, 1, 2]) await remove(engine, `k${String(at)}`);
      await engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.clearCollection('things');
      });
      await put(engine, 'stays', { text });
      expect(engine.health().historyBytes).toBeGreaterThan(100_000);
      await put(engine, 'last', {});
      await engine.compact(toSequence((await engine.head()).sequence));
      await untilFreed(engine);
      expect(engine.health().historyBytes).toBe(0);
      expect(await keysOf(engine)).toEqual(['last', 'stays']);
    });

    it('shows no state at or above the floor otherwise than before', async () => {
      const step = fc.record({
        kind: fc.constantFrom('put', 'put', 'put', 'remove', 'clear'),
        key: fc.constantFrom('a', 'b', 'c', 'd'),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 5, maxLength: 30 }),
          fc.nat(30),
          async (steps, floorAt) => {
            await using store = await openStore(subject);
            const { engine } = store;
            for (const { kind, key } of steps) {
              if (kind === 'put') await put(engine, key, {});
              else if (kind === 'remove') await remove(engine, key);
              else if ((await engine.findCollection('things')) !== undefined) {
                await engine.transact({ durability: 'async' }, (transaction) => {
                  transaction.clearCollection('things');
                });
              }
            }
            const { sequence: last } = await engine.head();
            if (last < 2n) return;
            const states = async (from: bigint): Promise<readonly string[]> => {
              const found = [];
              for (let at = from; at <= last; at++) {
                found.push(`${String(at)} ${(await keysOf(engine, {}, at)).join()}`);
              }
              return found;
            };
            const before = await states(0n);
            const floor = await engine.compact(toSequence(BigInt(floorAt) % last));
            await untilFreed(engine);
            expect(await states(floor)).toEqual(before.slice(Number(floor)));
          },
        ),
        { numRuns: 15 },
      );
    });
  });
}

/** Space is freed bit by bit; this waits until no more is. */
async function untilFreed(engine: StorageEngine): Promise<void> {
  for (let same = 0, last = -1; same < 3;) {
    await delay(20);
    // Behind what the engine was about to do.
    await engine.flush();
    const { historyBytes } = engine.health();
    same = historyBytes === last ? same + 1 : 0;
    last = historyBytes;
  }
}
