import { describe, expect, it } from 'vitest';

import type { Lease, StorageEngine } from '../../src/storage/engine.ts';
import { toSequence } from '../../src/storage/types.ts';
import type { ContractSubject } from './storage-contract.ts';
import { openStore, put, read, reasonOf } from './support.ts';

/** Jobs that one node does at a time, and what becomes of the work of a node that has lost one. */
export function describeLeases(subject: ContractSubject): void {
  describe('leases', () => {
    it('are taken, renewed, and carried by what is written', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const lease = await take(engine);
      expect(await engine.lease('sweep')).toEqual(lease);
      expect(await engine.lease('another')).toMatchObject({ job: 'another' });
      await putUnder(engine, lease, 'a');
      const { sequence } = await put(engine, 'b', {});
      await put(engine, 'b', {});
      expect(await engine.compact(sequence, lease)).toBe(sequence);
      expect(await read(engine, 'a')).toBeDefined();
    });

    it('belong to one node, and what the one before still writes is refused', async () => {
      await using store = await openStore(subject);
      const { engine, clock, place } = store;
      const second = subject.open({ clock, place });
      if (!engine.capabilities.shared) {
        // Nobody else is let in who could hold it.
        expect(await reasonOf(second)).toBe('ENGINE_UNAVAILABLE');
        return;
      }
      const { engine: other } = await second;
      const lease = await take(other);
      expect(await engine.lease('sweep')).toBeUndefined();
      await other.close();
      const next = await take(engine);
      expect(next.fence).toBeGreaterThan(lease.fence);
      for (const key of ['a', 'b', 'c']) await put(engine, key, {});
      expect(await reasonOf(putUnder(engine, lease, 'd'))).toBe('TRANSACTION_CONFLICT');
      expect(await reasonOf(engine.compact(toSequence(2), lease))).toBe('TRANSACTION_CONFLICT');
      expect(await read(engine, 'd')).toBeUndefined();
      expect((await engine.head()).oldest).toBe(0n);
      // Others of the same group are none the worse.
      const outcomes = await Promise.all([
        putUnder(engine, next, 'd'),
        reasonOf(putUnder(engine, lease, 'e')),
        put(engine, 'f', {}),
      ]);
      expect(outcomes[1]).toBe('TRANSACTION_CONFLICT');
      expect(await read(engine, 'd')).toBeDefined();
      expect(await read(engine, 'f')).toBeDefined();
    });

    it('are given back before their time is over, by whoever has them', async () => {
      await using store = await openStore(subject);
      const { engine, clock, place } = store;
      if (engine.jobs === undefined) return;
      const { engine: other } = await subject.open({ clock, place });
      const lease = await take(engine);
      await engine.jobs.giveBack(lease);
      const next = await take(other);
      expect(next.fence).toBeGreaterThan(lease.fence);
      await engine.jobs.giveBack(lease);
      expect(await engine.lease('sweep')).toBeUndefined();
      await other.close();
    });

    it('are taken for each moment of a schedule once, where there are other nodes', async () => {
      await using store = await openStore(subject);
      const { engine, clock, place } = store;
      expect(engine.jobs !== undefined).toBe(engine.capabilities.shared);
      if (engine.jobs === undefined) return;
      const { engine: other } = await subject.open({ clock, place });
      expect(await other.jobs?.claim('backup', 1000)).toMatchObject({ job: 'backup', fence: 1 });
      expect(await engine.jobs.claim('backup', 2000)).toBeUndefined();
      expect(await other.jobs?.claim('backup', 1000)).toBeUndefined();
      await other.jobs?.noteDone('backup');
      await other.close();
      // It is free now, but for moments that have been taken.
      expect(await engine.jobs.claim('backup', 999)).toBeUndefined();
      expect(await engine.jobs.claim('backup', 1000)).toBeUndefined();
      expect(await engine.jobs.claim('backup', 1001)).toMatchObject({ fence: 2 });
      expect(await engine.jobs.claim('another', 1000)).toMatchObject({ fence: 1 });
      await engine.jobs.noteDone('never claimed');
      expect(engine.jobs.doneAtMs('never claimed')).toBeGreaterThan(0);
      expect(await engine.jobs.claim('never claimed', 1)).toMatchObject({ fence: 1 });
    });
  });
}

async function take(engine: StorageEngine): Promise<Lease> {
  const lease = await engine.lease('sweep');
  if (lease === undefined) throw new Error('somebody else has it');
  return lease;
}

async function putUnder(engine: StorageEngine, lease: Lease, key: string): Promise<void> {
  await engine.transact({ durability: 'async', lease }, (transaction) => {
    transaction.put({ collection: 'things', key, body: '{}' });
  });
}
