import { describe, expect, it } from 'vitest';

import type { StorageEngine, TransactOptions } from '../../src/storage/engine.ts';
import { MATCH_ALL } from '../../src/storage/query/filter.ts';
import { toVersion } from '../../src/storage/types.ts';
import type { ContractSubject } from './storage-contract.ts';
import {
  bodyOf,
  builtIndex,
  indexSpec,
  keysOf,
  logOf,
  openStore,
  put,
  QUERY,
  read,
  reasonOf,
} from './support.ts';

const SYNC: TransactOptions = { durability: 'sync' };

/** Adds one to a counter, reading it in the transaction. */
async function increment(engine: StorageEngine, options: TransactOptions = SYNC): Promise<number> {
  const { value } = await engine.transact(options, async (transaction) => {
    const [document] = await transaction.get('things', ['counter']);
    const { n } = JSON.parse(document?.body ?? '{"n":0}') as { n: number };
    transaction.put({ collection: 'things', key: 'counter', body: JSON.stringify({ n: n + 1 }) });
    return n + 1;
  });
  return value;
}

/** Several writes as one: all or nothing, isolated, repeatable. */
export function describeTransactions(subject: ContractSubject): void {
  describe('transactions', () => {
    it('commits writes of several collections as one run of sequences', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', {});
      const result = await engine.transact(SYNC, (transaction) => {
        transaction.put({ collection: 'things', key: 'a', body: '{"n":2}' });
        transaction.put({ collection: 'others', key: 'b', body: '{}' });
        transaction.delete({ collection: 'things', key: 'gone' });
        return 'done';
      });
      expect(result).toMatchObject({ value: 'done', durability: 'sync', replayed: false });
      expect(result.writes.map(({ key, kind, existed }) => [key, kind, existed])).toEqual([
        ['a', 'put', true],
        ['b', 'put', true],
        ['gone', 'delete', false],
      ]);
      const entries = (await logOf(engine)).filter(({ sequence }) => sequence > 2n);
      expect(new Set(entries.map(({ commit }) => commit)).size).toBe(1);
      expect(result.sequence).toBe(entries.at(-1)?.sequence);
    });

    it('does nothing when one write is refused', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', {});
      const before = await engine.head();
      const refused = engine.transact(SYNC, (transaction) => {
        transaction.put({ collection: 'new', key: 'b', body: '{}' });
        transaction.put({ collection: 'things', key: 'c', body: '{}' });
        const precondition = { kind: 'version', version: toVersion(9) } as const;
        transaction.put({ collection: 'things', key: 'a', body: '{}', precondition });
      });
      expect(await reasonOf(refused)).toBe('VERSION_MISMATCH');
      expect(await engine.head()).toEqual(before);
      expect(await keysOf(engine)).toEqual(['a']);
      expect(await engine.findCollection('new')).toBeUndefined();
      expect(await engine.findCollection('things')).toMatchObject({ documents: 1 });
    });

    it('does nothing when the callback throws, and passes its error on', async () => {
      await using store = await openStore(subject);
      const failure = new Error('changed my mind');
      const thrown = store.engine.transact(SYNC, (transaction) => {
        transaction.put({ collection: 'things', key: 'a', body: '{}' });
        throw failure;
      });
      await expect(thrown).rejects.toBe(failure);
      expect(await keysOf(store.engine)).toEqual([]);
    });

    it('reads the state before the transaction, not its own writes', async () => {
      await using store = await openStore(subject);
      await put(store.engine, 'a', { n: 1 });
      const { value } = await store.engine.transact(SYNC, async (transaction) => {
        transaction.put({ collection: 'things', key: 'a', body: '{"n":2}' });
        const [document] = await transaction.get('things', ['a']);
        return document?.body;
      });
      expect(value).toBe('{"n":1}');
    });

    it('loses no update when many read and write the same document', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const clients = 8;
      const times = 25;
      const seen = await Promise.all(
        Array.from({ length: clients }, async () => {
          const values: number[] = [];
          while (values.length < times) {
            const value = await increment(engine).catch(() => undefined);
            if (value !== undefined) values.push(value);
          }
          return values;
        }),
      );
      expect(await bodyOf(engine, 'counter')).toEqual({ n: clients * times });
      expect(new Set(seen.flat()).size).toBe(clients * times);
      expect((await read(engine, 'counter'))?.version).toBe(BigInt(clients * times));
    });

    it('gives up with TRANSACTION_CONFLICT when what it read keeps changing', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      let at = 0;
      const doomed = engine.transact(SYNC, async (transaction) => {
        await transaction.get('things', ['a']);
        await put(engine, 'a', { at: ++at });
        transaction.put({ collection: 'things', key: 'b', body: '{}' });
      });
      expect(await reasonOf(doomed)).toBe('TRANSACTION_CONFLICT');
      expect(at).toBe(17);
      expect(await read(engine, 'b')).toBeUndefined();
    });

    it('runs again when a document that a query found and it writes has changed', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      await put(engine, 'b', { n: 1 });
      let runs = 0;
      await engine.transact(SYNC, async (transaction) => {
        runs += 1;
        const page = await transaction.query({ ...QUERY, filter: MATCH_ALL });
        if (runs === 1) await put(engine, 'a', { n: 5 });
        const [first] = page.documents;
        if (first !== undefined) transaction.delete({ collection: 'things', key: first.key });
      });
      expect(runs).toBe(2);
      expect(await keysOf(engine)).toEqual(['b']);
    });

    it('runs again when a collection it relies on has changed', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', {});
      let runs = 0;
      await engine.transact(SYNC, async (transaction) => {
        runs += 1;
        const record = await engine.findCollection('things');
        transaction.requireRevision('things', record?.revision ?? 0n);
        if (runs === 1) {
          await engine.transact(SYNC, (other) => {
            other.configureCollection('things', { documentsMax: undefined, rules: '{"x":1}' });
          });
        }
        transaction.put({ collection: 'things', key: 'b', body: '{}' });
      });
      expect(runs).toBe(2);
    });

    it('refuses two writes of one document', async () => {
      await using store = await openStore(subject);
      const twice = store.engine.transact(SYNC, (transaction) => {
        transaction.put({ collection: 'things', key: 'a', body: '{}' });
        transaction.delete({ collection: 'things', key: 'a' });
      });
      expect(await reasonOf(twice)).toBe('ARGUMENT_INVALID');
    });

    it('is canceled by its signal before it commits', async () => {
      await using store = await openStore(subject);
      const controller = new AbortController();
      const canceled = store.engine.transact(
        { ...SYNC, signal: controller.signal },
        (transaction) => {
          transaction.put({ collection: 'things', key: 'a', body: '{}' });
          controller.abort();
        },
      );
      expect(await reasonOf(canceled)).toBe('CANCELED');
      expect(await keysOf(store.engine)).toEqual([]);
    });

    it('tells which durability it gives, and flush makes everything durable', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const result = await engine.transact({ durability: 'async' }, (transaction) => {
        transaction.put({ collection: 'things', key: 'a', body: '{}' });
      });
      expect(result.durability).toBe('async');
      expect(await engine.flush()).toBe(result.sequence);
      expect((await engine.head()).durableSequence).toBe(result.sequence);
    });

    it('makes what did not wait for the disk durable by itself', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      for (const key of ['a', 'b']) {
        const { sequence } = await engine.transact({ durability: 'async' }, (transaction) => {
          transaction.put({ collection: 'things', key, body: '{}' });
        });
        // Nobody asks for it: the promise is a moment, not the next write.
        await expect
          .poll(async () => (await engine.head()).durableSequence, { timeout: 20_000 })
          .toBe(sequence);
      }
    });
  });

  describe('request ids', () => {
    const request = { id: 'r1', principal: 'p', fingerprint: 'f' };

    it('answer a retry with the first result, also after a restart', async () => {
      await using store = await openStore(subject);
      const first = await increment(store.engine, { ...SYNC, request });
      expect(await increment(store.engine, { ...SYNC, request })).toBe(first);
      const engine = await store.reopen();
      expect(await increment(engine, { ...SYNC, request })).toBe(first);
      expect(await bodyOf(engine, 'counter')).toEqual({ n: 1 });
      const replay = await engine.transact({ ...SYNC, request }, () => 0);
      expect(replay).toMatchObject({ replayed: true, value: 1 });
      expect(replay.writes).toHaveLength(1);
    });

    it('commit once when twins race', async () => {
      await using store = await openStore(subject);
      const twins = await Promise.all(
        Array.from({ length: 10 }, () => increment(store.engine, { ...SYNC, request })),
      );
      expect(new Set(twins)).toEqual(new Set([1]));
      expect(await bodyOf(store.engine, 'counter')).toEqual({ n: 1 });
    });

    it('answer a twin that finds the document taken by the first', async () => {
      await using store = await openStore(subject);
      const insert = async (): Promise<string> => {
        const { value } = await store.engine.transact({ ...SYNC, request }, (transaction) => {
          const precondition = { kind: 'exists', exists: false } as const;
          transaction.put({ collection: 'things', key: 'a', body: '{}', precondition });
          return 'inserted';
        });
        return value;
      };
      expect(await Promise.all([insert(), insert()])).toEqual(['inserted', 'inserted']);
      expect(await insert()).toBe('inserted');
    });

    it('are refused for another request, and are each principal’s own', async () => {
      await using store = await openStore(subject);
      await increment(store.engine, { ...SYNC, request });
      const other = { ...request, fingerprint: 'g' };
      expect(await reasonOf(increment(store.engine, { ...SYNC, request: other }))).toBe(
        'REQUEST_ID_REUSED',
      );
      const stranger = { ...other, principal: 'q' };
      expect(await increment(store.engine, { ...SYNC, request: stranger })).toBe(2);
    });
  });

  describe('collections', () => {
    it('are created, configured and dropped in the log', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      const settings = { documentsMax: 5, rules: '{"a":1}' };
      await engine.transact(SYNC, (transaction) => {
        transaction.createCollection('things', settings);
      });
      const made = await engine.findCollection('things');
      expect(made).toMatchObject({ revision: 1n, settings, documents: 0 });
      await engine.transact(SYNC, (transaction) => {
        transaction.createCollection('things', { documentsMax: undefined, rules: '{}' });
        transaction.configureCollection('things', { documentsMax: 6, rules: '{}' });
      });
      expect(await engine.findCollection('things')).toMatchObject({ revision: 2n, uid: made?.uid });
      await engine.transact(SYNC, (transaction) => {
        transaction.dropCollection('things');
      });
      expect(await engine.findCollection('things')).toBeUndefined();
      await put(engine, 'a', {});
      expect((await engine.findCollection('things'))?.uid).not.toBe(made?.uid);
      const kinds = (await logOf(engine)).map(({ kind }) => kind);
      expect(kinds).toEqual([
        ...['createCollection', 'configureCollection', 'dropCollection'],
        ...['createCollection', 'put'],
      ]);
    });

    it('are emptied at once and keep identity, settings and indexes', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { n: 1 });
      await engine.createIndex(indexSpec('n', ['n'], true));
      await builtIndex(engine, 'n');
      const before = await engine.findCollection('things');
      await engine.transact(SYNC, (transaction) => {
        transaction.clearCollection('things');
        transaction.put({ collection: 'things', key: 'b', body: '{"n":1}' });
      });
      const after = await engine.findCollection('things');
      expect(after).toMatchObject({ uid: before?.uid, documents: 1 });
      expect(await keysOf(engine)).toEqual(['b']);
      expect(await read(engine, 'a')).toBeUndefined();
      expect(await engine.indexes('things')).toMatchObject([{ name: 'n', state: 'ready' }]);
      expect(await reasonOf(put(engine, 'c', { n: 1 }))).toBe('UNIQUE_VIOLATION');
    });

    it('evict the oldest beyond their bound, in the same commit', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await engine.transact(SYNC, (transaction) => {
        transaction.createCollection('things', { documentsMax: 2, rules: '{}' });
      });
      for (const key of ['c', 'a', 'b']) await put(engine, key, {});
      expect(await keysOf(engine)).toEqual(['a', 'b']);
      await put(engine, 'a', { again: true });
      await put(engine, 'd', {});
      expect(await keysOf(engine)).toEqual(['b', 'd']);
      const evicted = (await logOf(engine)).filter(({ cause }) => cause === 'evicted');
      expect(evicted.map(({ key, kind }) => [key, kind])).toEqual([
        ['c', 'delete'],
        ['a', 'delete'],
      ]);
      expect(evicted.every(({ commit, sequence }) => commit < sequence)).toBe(true);
    });
  });
}
