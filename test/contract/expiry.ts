import { describe, expect, it } from 'vitest';

import type { ContractSubject } from './storage-contract.ts';
import {
  builtIndex,
  indexSpec,
  keysOf,
  logOf,
  openStore,
  put,
  putWith,
  read,
  reasonOf,
  remove,
  SELECTION,
} from './support.ts';

/** Documents that end by themselves. */
export function describeExpiry(subject: ContractSubject): void {
  describe('expiry', () => {
    it('ends a document for every reader at that very instant', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      await putWith(engine, { key: 'a', body: { n: 1 }, expiresAtMs: clock.now() + 1000 });
      await put(engine, 'b', { n: 1 });
      clock.advance(999);
      expect(await read(engine, 'a')).toBeDefined();
      expect(await keysOf(engine)).toEqual(['a', 'b']);
      clock.advance(1);
      expect(await read(engine, 'a')).toBeUndefined();
      expect(await keysOf(engine)).toEqual(['b']);
      const metrics = [{ name: 'count', kind: 'count', path: undefined } as const];
      const { groups } = await engine.aggregate({
        ...{ ...SELECTION, groupBy: [], metrics, groupsMax: 10 },
      });
      expect(groups).toMatchObject([{ figures: { count: 1 } }]);
    });

    it('makes a write after it a creation, with the expiry in the log first', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      const first = await putWith(engine, { key: 'a', body: {}, expiresAtMs: clock.now() + 10 });
      clock.advance(10);
      const precondition = { kind: 'exists', exists: false } as const;
      const second = await putWith(engine, { key: 'a', body: {}, precondition });
      expect(second).toMatchObject({ created: true, version: 1n });
      expect(second.createdSequence).toBeGreaterThan(first.createdSequence);
      const entries = (await logOf(engine)).slice(-2);
      expect(entries).toMatchObject([
        { kind: 'delete', key: 'a', cause: 'expired', previousSequence: first.sequence },
        { kind: 'put', key: 'a', version: 1n, previousSequence: 0n },
      ]);
      expect(await engine.findCollection('things')).toMatchObject({ documents: 1 });
    });

    it('is listed for the sweep, which deletes once', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      for (const key of ['c', 'a', 'b']) {
        await putWith(engine, {
          key: key,
          body: {},
          expiresAtMs: clock.now() + 10 + key.charCodeAt(0),
        });
      }
      await put(engine, 'd', {});
      expect(await engine.expired(10)).toEqual([]);
      clock.advance(1000);
      const due = await engine.expired(2);
      expect(due).toEqual([
        { collection: 'things', key: 'a' },
        { collection: 'things', key: 'b' },
      ]);
      await engine.transact({ durability: 'async' }, (transaction) => {
        for (const { collection, key } of due) {
          transaction.delete({ collection, key, cause: 'expired' });
        }
      });
      expect(await engine.expired(10)).toEqual([{ collection: 'things', key: 'c' }]);
      expect(await remove(engine, 'c')).toMatchObject({ existed: false, sequence: 0n });
      expect(await engine.expired(10)).toEqual([]);
      expect(await engine.findCollection('things')).toMatchObject({ documents: 1 });
    });

    it('frees the value of a unique index', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      await putWith(engine, { key: 'a', body: { n: 1 }, expiresAtMs: clock.now() + 10 });
      await engine.createIndex(indexSpec('n', ['n'], true));
      await builtIndex(engine, 'n');
      expect(await reasonOf(put(engine, 'b', { n: 1 }))).toBe('UNIQUE_VIOLATION');
      clock.advance(10);
      await put(engine, 'b', { n: 1 });
      expect(await keysOf(engine)).toEqual(['b']);
    });

    it('fails a version precondition on what has expired', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      await putWith(engine, { key: 'a', body: {}, expiresAtMs: clock.now() + 10 });
      clock.advance(10);
      const precondition = { kind: 'version', version: 1n as never } as const;
      expect(await reasonOf(putWith(engine, { key: 'a', body: {}, precondition }))).toBe(
        'VERSION_MISMATCH',
      );
    });
  });
}
