import { describe, expect, it } from 'vitest';

import { toSequence } from '../../src/storage/types.ts';
import type { ContractSubject } from './storage-contract.ts';
import { keysOf, logOf, openStore, put, putWith, read, reasonOf, remove } from './support.ts';

/** The numbered log: dense, ordered in time, readable from any position; and the life of a store. */
export function describeLog(subject: ContractSubject): void {
  describe('the log', () => {
    it('numbers every change without a gap, also under concurrent writers', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const writers = Array.from({ length: 16 }, async (_, writer) => {
        for (let at = 0; at < 20; at++) {
          await put(engine, `${writer.toString()}-${at.toString()}`, { at });
          if (at % 5 === 0) await remove(engine, `${writer.toString()}-${at.toString()}`);
        }
      });
      await Promise.all(writers);
      const entries = await logOf(engine);
      expect(entries.map(({ sequence }) => sequence)).toEqual(
        entries.map((_, at) => BigInt(at + 1)),
      );
      expect((await engine.head()).sequence).toBe(BigInt(entries.length));
      const times = entries.map(({ timestampMs }) => timestampMs);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    });

    it('is read in slices after any position', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      for (let at = 0; at < 5; at++) await put(engine, 'a', { at });
      const { epoch } = await engine.head();
      const slice = await engine.readLog({ epoch, sequence: toSequence(2) }, { limit: 2 });
      expect(slice).toMatchObject([
        {
          sequence: 3n,
          kind: 'put',
          key: 'a',
          version: 2n,
          body: '{"at":1}',
          previousSequence: 2n,
        },
        { sequence: 4n, version: 3n, previousSequence: 3n },
      ]);
      expect(await engine.readLog({ epoch, sequence: toSequence(6) }, { limit: 2 })).toEqual([]);
    });

    it('is read in whole commits, up to any sequence, along with what was replaced', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      await engine.transact({ durability: 'sync' }, (transaction) => {
        for (const key of ['a', 'b', 'c']) {
          transaction.put({ collection: 'things', key, body: '{"n":2}' });
        }
      });
      await remove(engine, 'b');
      const { epoch, sequence: last } = await engine.head();
      const from = { epoch, sequence: toSequence(2) };
      const keys = async (limit: number, upTo?: bigint): Promise<readonly string[]> => {
        const end = upTo === undefined ? {} : { upTo: toSequence(upTo) };
        const entries = await engine.readLog(from, { limit, ...end });
        return entries.map(({ key }) => key);
      };
      expect(await keys(1)).toEqual(['a', 'b', 'c']);
      expect(await keys(9, last - 1n)).toEqual(['a', 'b', 'c']);
      expect(await keys(9, last - 2n)).toEqual([]);
      const entries = await engine.readLog(from, { limit: 9, withPrevious: true });
      expect(entries.map(({ previous }) => previous && [previous.version, previous.body])).toEqual([
        ...[[1n, '{"n":1}'], undefined, undefined, [1n, '{"n":2}']],
      ]);
    });

    it('refuses a position of another timeline', async () => {
      await using store = await openStore(subject);
      const stranger = { epoch: 'elsewhere', sequence: toSequence(0) };
      expect(await reasonOf(store.engine.readLog(stranger, { limit: 1 }))).toBe(
        'SEQUENCE_COMPACTED',
      );
    });

    it('finds the sequence of a moment', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      const startMs = clock.now();
      await put(engine, 'a', {});
      clock.advance(10);
      await put(engine, 'b', {});
      await put(engine, 'c', {});
      clock.advance(10);
      await put(engine, 'd', {});
      const moments = [-1, 0, 9, 10, 19, 20, 1000];
      const found = await Promise.all(moments.map((ms) => engine.sequenceAt(startMs + ms)));
      expect(found).toEqual([0n, 2n, 2n, 4n, 4n, 5n, 5n]);
    });

    it('never goes back in time, even when the clock does', async () => {
      await using store = await openStore(subject);
      await put(store.engine, 'a', {});
      store.clock.advance(-60_000);
      await put(store.engine, 'b', {});
      const times = (await logOf(store.engine)).map(({ timestampMs }) => timestampMs);
      expect(new Set(times).size).toBe(1);
    });

    it('hints at commits after they are visible', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const seen: bigint[] = [];
      const stop = engine.onCommit((sequence) => seen.push(sequence));
      const write = await put(engine, 'a', {});
      expect(seen.at(-1)).toBe(write.sequence);
      stop();
      stop();
      await put(engine, 'b', {});
      expect(seen.at(-1)).toBe(write.sequence);
    });
  });

  describe('the life of a store', () => {
    it('keeps everything over a restart', async () => {
      await using store = await openStore(subject);
      await put(store.engine, 'a', { n: 1 });
      await putWith(store.engine, {
        key: 'b',
        body: { n: 1 },
        expiresAtMs: store.clock.now() + 100,
      });
      const head = await store.engine.head();
      const entries = await logOf(store.engine);
      const engine = await store.reopen();
      expect(await engine.head()).toEqual(head);
      expect(await logOf(engine)).toEqual(entries);
      expect(await keysOf(engine)).toEqual(['a', 'b']);
      const write = await put(engine, 'a', { n: 2 });
      expect(write).toMatchObject({ version: 2n, sequence: head.sequence + 1n });
    });

    it('finishes what is queued, then refuses everything', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const writes = Array.from({ length: 50 }, (_, at) => put(engine, at.toString(), {}));
      // What was accepted commits; a transaction still to start may be refused.
      await Promise.all(writes);
      await Promise.all([engine.close(), engine.close()]);
      expect(await reasonOf(put(engine, 'late', {}))).toBe('ENGINE_UNAVAILABLE');
      expect(await reasonOf(read(engine, '1'))).toBe('ENGINE_UNAVAILABLE');
      expect(engine.health().state).toBe('closed');
      expect(await keysOf(await store.reopen())).toHaveLength(50);
    });

    it('tells how it does', async () => {
      await using store = await openStore(subject);
      const write = await put(store.engine, 'a', {});
      expect(store.engine.health()).toMatchObject({
        ...{ state: 'ready', detail: '', lastSequence: write.sequence },
        durableSequence: write.sequence,
      });
      expect(store.engine.health().storedBytes).toBeGreaterThan(0);
    });
  });
}
