import { describe, expect, it } from 'vitest';

import type { ContractSubject } from './storage-contract.ts';
import { bodyOf, keysOf, openStore, put, putWith, read, reasonOf, remove } from './support.ts';

/** Single documents: versions, sequences, preconditions, bodies. */
export function describeDocuments(subject: ContractSubject): void {
  describe('documents', () => {
    it('keeps version, sequence and creation over writes, and starts again after a delete', async () => {
      await using store = await openStore(subject);
      const { engine, clock } = store;
      const startMs = clock.now();
      const first = await put(engine, 'a', { n: 1 });
      clock.advance(1000);
      const second = await put(engine, 'a', { n: 2 });
      expect([first.created, first.version, second.created, second.version]).toEqual([
        true,
        1n,
        false,
        2n,
      ]);
      expect(second.sequence).toBeGreaterThan(first.sequence);
      expect(await read(engine, 'a')).toEqual({
        ...{ collection: 'things', key: 'a', version: 2n, sequence: second.sequence },
        ...{ createdSequence: first.sequence, createdAtMs: startMs, modifiedAtMs: startMs + 1000 },
        ...{ expiresAtMs: undefined, body: '{"n":2}' },
      });
      expect(await remove(engine, 'a')).toMatchObject({ existed: true, version: 0n });
      expect(await read(engine, 'a')).toBeUndefined();
      const again = await put(engine, 'a', { n: 3 });
      expect(again).toMatchObject({ created: true, version: 1n });
      expect(again.createdSequence).toBe(again.sequence);
    });

    it('answers a delete of nothing without an entry', async () => {
      await using store = await openStore(subject);
      await put(store.engine, 'a', {});
      const before = await store.engine.head();
      expect(await remove(store.engine, 'b')).toMatchObject({ existed: false, sequence: 0n });
      expect((await store.engine.head()).sequence).toBe(before.sequence);
    });

    it('gets keys in the order asked, gaps as undefined', async () => {
      await using store = await openStore(subject);
      await put(store.engine, 'a', {});
      await put(store.engine, 'b', {});
      const many = Array.from({ length: 100 }, (_, at) => `none-${at.toString()}`);
      const found = await store.engine.get('things', ['b', 'x', 'a', ...many]);
      expect(found.slice(0, 3).map((document) => document?.key)).toEqual(['b', undefined, 'a']);
      expect(found).toHaveLength(103);
      expect(await store.engine.get('nowhere', ['a'])).toEqual([undefined]);
    });

    it.each([
      ['plain text', '{"text":"ä€😀"}'],
      ['every digit', '{"big":9007199254740993,"small":1.0000000000000000001}'],
      ['a hostile name', '{"__proto__":{"admin":true},"constructor":1}'],
      ['a NUL', '{"nul":"a\\u0000b"}'],
      ['spaces as they came', '{ "a" : [ 1 , 2 ] }'],
      ['members in their order', '{"bb":1,"a":2}'],
      ['a member that is there twice', '{"a":1,"a":2}'],
    ])('stores %s byte for byte', async (_, body) => {
      await using store = await openStore(subject);
      await store.engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.put({ collection: 'things', key: 'k', body });
      });
      expect((await read(store.engine, 'k'))?.body).toBe(body);
      expect((await read(await store.reopen(), 'k'))?.body).toBe(body);
    });

    it('orders keys by code point', async () => {
      await using store = await openStore(subject);
      const keys = ['a', 'B', 'b', 'ä', '10', '9', '\u{1F600}', '\uFB01'];
      for (const key of keys) await put(store.engine, key, {});
      const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await keysOf(store.engine)).toEqual(sorted);
    });

    it('counts documents and bytes through every kind of write', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', { text: 'ä' });
      await put(engine, 'b', {});
      await put(engine, 'a', { n: 1 });
      await remove(engine, 'b');
      const expected = { documents: 1, bytes: Buffer.byteLength('{"n":1}') };
      expect(await engine.findCollection('things')).toMatchObject(expected);
      expect(await (await store.reopen()).findCollection('things')).toMatchObject(expected);
    });
  });

  describe('preconditions', () => {
    it.each([
      ['exists: true on none', undefined, { kind: 'exists', exists: true }, 'VERSION_MISMATCH'],
      ['exists: true on one', 1, { kind: 'exists', exists: true }, undefined],
      ['exists: false on none', undefined, { kind: 'exists', exists: false }, undefined],
      ['exists: false on one', 1, { kind: 'exists', exists: false }, 'DOCUMENT_EXISTS'],
      ['the right version', 2, { kind: 'version', version: 2n }, undefined],
      ['version 0 on none', undefined, { kind: 'version', version: 0n }, undefined],
      ['version 0 on one', 1, { kind: 'version', version: 0n }, 'VERSION_MISMATCH'],
      ['an old version', 2, { kind: 'version', version: 1n }, 'VERSION_MISMATCH'],
      ['a future version', 2, { kind: 'version', version: 3n }, 'VERSION_MISMATCH'],
      ['a version of none', undefined, { kind: 'version', version: 1n }, 'VERSION_MISMATCH'],
    ] as const)('%s', async (...[, writes, condition, reason]) => {
      await using store = await openStore(subject);
      const { engine } = store;
      const precondition = condition as never;
      for (let at = 0; at < (writes ?? 0); at++) await put(engine, 'a', { at });
      const before = await bodyOf(engine, 'a');
      expect(await reasonOf(putWith(engine, { key: 'a', body: { new: true }, precondition }))).toBe(
        reason,
      );
      expect(await bodyOf(engine, 'a')).toEqual(reason === undefined ? { new: true } : before);
    });

    it('holds for deletes and for what is only required', async () => {
      await using store = await openStore(subject);
      const { engine } = store;
      await put(engine, 'a', {});
      const stale = { kind: 'version', version: 7n as never } as const;
      expect(await reasonOf(remove(engine, 'a', stale))).toBe('VERSION_MISMATCH');
      const guarded = engine.transact({ durability: 'sync' }, (transaction) => {
        transaction.require('things', 'b', { kind: 'exists', exists: true });
        transaction.put({ collection: 'things', key: 'c', body: '{}' });
      });
      expect(await reasonOf(guarded)).toBe('VERSION_MISMATCH');
      expect(await keysOf(engine)).toEqual(['a']);
    });
  });
}
