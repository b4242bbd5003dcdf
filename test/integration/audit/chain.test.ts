/**
 * The chain against somebody who can write the store but does not know the secret: whatever is changed,
 * left out, added or moved, verification names the place.
 */
import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { AUDIT, bodyOf, keyOf, macOf, type AuditRecord } from '../../../src/domain/audit/record.ts';
import { AUDIT_STATE, ENDS } from '../../../src/domain/audit/state.ts';
import { entry, listAll, openStore, recordMany, verifyAll } from './open-audit.ts';

describe('the chain', () => {
  it('is empty and sound at first', async () => {
    await using store = await openStore();
    const audit = await store.open();
    expect(await verifyAll(audit)).toMatchObject({ checked: 0, first: 0, fault: undefined });
    expect(await listAll(audit)).toEqual([]);
  });

  it('stays unbroken and in order under a thousand concurrent records, in few commits', async () => {
    await using store = await openStore();
    const audit = await store.open();
    const before = (await store.engine.head()).sequence;
    const records = await recordMany(audit, 1000);
    expect(records.map(({ number }) => number)).toEqual(records.map((_, at) => at + 1));
    expect(records.map(({ resource }) => resource)).toEqual(
      records.map((_, at) => `r${String(at + 1)}`),
    );
    for (const [at, { previousHash }] of records.entries()) {
      expect(previousHash).toBe(at === 0 ? '' : records[at - 1]?.hash);
    }
    expect(await listAll(audit)).toEqual(records);
    expect(await verifyAll(audit)).toMatchObject({ checked: 1000, last: 1000, fault: undefined });
    // 1,000 records, the ends of the chain once per commit, and two new collections.
    expect(Number((await store.engine.head()).sequence - before)).toBeLessThanOrEqual(1006);
  });

  it('is not forked by two writers of one store', async () => {
    await using store = await openStore();
    const [one, other] = [await store.open(), await store.open()];
    const rounds = Array.from({ length: 10 }, async (_, at) => {
      await Promise.all([one.record(entry(`one${String(at)}`)), other.record(entry('other'))]);
    });
    await Promise.all(rounds);
    for (let at = 0; at < 10; at++) {
      await one.record(entry('one'));
      await other.record(entry('other'));
    }
    const third = await store.open();
    expect((await listAll(third)).map(({ number }) => number)).toEqual(
      Array.from({ length: 40 }, (_, at) => at + 1),
    );
    expect(await verifyAll(third)).toMatchObject({ checked: 40, fault: undefined });
  });

  it('goes on where it ended after a restart', async () => {
    await using store = await openStore();
    const first = await store.open();
    await recordMany(first, 3);
    await first[Symbol.asyncDispose]();
    const second = await store.open();
    const { number } = await second.record(entry('after'));
    expect(number).toBe(4);
    expect((await verifyAll(second)).fault).toBeUndefined();
    expect(store.problems).toEqual([]);
  });

  it('keeps every text, cut to its bound, and every time in order', async () => {
    await using store = await openStore();
    const audit = await store.open();
    const text = fc.string({ unit: 'grapheme', maxLength: 700 });
    await fc.assert(
      fc.asyncProperty(
        fc.record({ actor: text, resource: text, details: fc.dictionary(text, text) }),
        async (change) => {
          const record = await audit.record({ action: 'x.y', result: 'success', ...change });
          expect(record.actor.length).toBeLessThanOrEqual(256);
          if (change.actor.length <= 256) expect(record.actor).toBe(change.actor.toWellFormed());
          else expect(record.actor.endsWith('…')).toBe(true);
          expect(Object.keys(record.details).length).toBeLessThanOrEqual(16);
          expect(Buffer.byteLength(bodyOf(record))).toBeLessThan(64 * 1024);
        },
      ),
      { numRuns: 50 },
    );
    store.clock.advance(-60_000);
    const record = await audit.record(entry('when the clock was set back'));
    expect(record.time).toBe(store.clock.now() + 60_000);
    expect((await verifyAll(audit)).fault).toBeUndefined();
  });
});

interface Tampering {
  readonly name: string;
  readonly fault: { readonly kind: string; readonly number: number };
  readonly bodies?: Readonly<
    Record<number, (records: readonly AuditRecord[]) => string | undefined>
  >;
}

const at = (records: readonly AuditRecord[], number: number): AuditRecord => records[number - 1]!;

const TAMPERINGS: readonly Tampering[] = [
  {
    name: 'a changed member',
    fault: { kind: 'wrongHash', number: 5 },
    bodies: { 5: (records) => bodyOf({ ...at(records, 5), actor: 'somebody else' }) },
  },
  {
    name: 'a changed time',
    fault: { kind: 'wrongHash', number: 5 },
    bodies: { 5: (records) => bodyOf({ ...at(records, 5), time: 0 }) },
  },
  {
    name: 'an added member',
    fault: { kind: 'malformed', number: 5 },
    bodies: { 5: (records) => bodyOf(at(records, 5)).replace('{', '{"x":1,') },
  },
  {
    name: 'something else altogether',
    fault: { kind: 'malformed', number: 5 },
    bodies: { 5: () => '{}' },
  },
  {
    name: 'a deleted record in the middle',
    fault: { kind: 'missing', number: 5 },
    bodies: { 5: () => undefined },
  },
  {
    name: 'a cut end',
    fault: { kind: 'missing', number: 9 },
    bodies: { 9: () => undefined, 10: () => undefined },
  },
  {
    name: 'a deleted beginning',
    fault: { kind: 'missing', number: 1 },
    bodies: { 1: () => undefined, 2: () => undefined },
  },
  {
    name: 'two records that changed places',
    fault: { kind: 'malformed', number: 4 },
    bodies: { 4: (records) => bodyOf(at(records, 5)), 5: (records) => bodyOf(at(records, 4)) },
  },
  {
    name: 'a record sealed with another secret',
    fault: { kind: 'wrongHash', number: 10 },
    bodies: {
      10: (records) => {
        const { hash: _hash, previousHash, ...content } = at(records, 10);
        const hash = macOf(
          Buffer.alloc(32, 8),
          'record/1',
          `${previousHash}\n${JSON.stringify(content)}`,
        );
        return bodyOf({ ...at(records, 10), actor: 'forged', hash });
      },
    },
  },
  {
    name: 'a record behind the end',
    fault: { kind: 'extra', number: 11 },
    bodies: { 11: (records) => bodyOf({ ...at(records, 10), number: 11 }) },
  },
];

describe.each(TAMPERINGS)('$name', ({ fault, bodies = {} }) => {
  it('is found, while the server runs and after a restart, for ever', async () => {
    await using store = await openStore();
    const audit = await store.open();
    const records = await recordMany(audit, 10);
    expect((await verifyAll(audit)).fault).toBeUndefined();
    await store.spoil((transaction) => {
      for (const [number, bodyFor] of Object.entries(bodies)) {
        const [key, body] = [keyOf(Number(number)), bodyFor(records)];
        if (body === undefined) transaction.delete({ collection: AUDIT, key });
        else transaction.put({ collection: AUDIT, key, body });
      }
    });
    const found = await verifyAll(audit);
    expect(found.fault).toMatchObject(fault);
    expect(found.fault?.message).toMatch(/./);
    expect(found.checked).toBe(fault.number - 1);
    const again = await store.open();
    expect((await verifyAll(again)).fault).toMatchObject(fault);
    // What is written later hides nothing.
    await again.record(entry('later'));
    expect((await verifyAll(again)).fault?.number).toBe(fault.number);
  });
});

describe('the ends of the chain', () => {
  async function bodyOfEnds(store: Awaited<ReturnType<typeof openStore>>): Promise<string> {
    const [document] = await store.engine.get(AUDIT_STATE, [ENDS]);
    return document!.body;
  }

  it('cannot be put back, while the server runs, along with a cut end', async () => {
    await using store = await openStore();
    const audit = await store.open();
    await recordMany(audit, 5);
    const body = await bodyOfEnds(store);
    await recordMany(audit, 5);
    await store.spoil((transaction) => {
      transaction.put({ collection: AUDIT_STATE, key: ENDS, body });
      for (let number = 6; number <= 10; number++) {
        transaction.delete({ collection: AUDIT, key: keyOf(number) });
      }
    });
    expect((await verifyAll(audit)).fault).toMatchObject({ kind: 'wrongEnds', number: 6 });
  });

  it('leave a mark when they are deleted or forged along with records', async () => {
    for (const forged of [undefined, '{}', 'other end', 'other key']) {
      await using store = await openStore();
      const audit = await store.open();
      const records = await recordMany(audit, 10);
      const { text } = JSON.parse(await bodyOfEnds(store)) as { text: string };
      const end = { number: 8, hash: at(records, 8).hash };
      const cutText = JSON.stringify({ ...(JSON.parse(text) as object), end });
      const body = {
        'other end': JSON.stringify({ ...JSON.parse(await bodyOfEnds(store)), text: cutText }),
        'other key': JSON.stringify({ text: cutText, keyId: 'another', mac: 'x' }),
      }[forged ?? ''];
      await store.spoil((transaction) => {
        for (const number of [9, 10]) {
          transaction.delete({ collection: AUDIT, key: keyOf(number) });
        }
        if (forged === undefined) transaction.delete({ collection: AUDIT_STATE, key: ENDS });
        else transaction.put({ collection: AUDIT_STATE, key: ENDS, body: body ?? forged });
      });
      expect((await verifyAll(audit)).fault).toMatchObject({ kind: 'wrongEnds' });
      const again = await store.open();
      expect((await verifyAll(again)).fault).toMatchObject({ kind: 'missing', number: 9 });
      const { records: told } = await again.list({ action: 'audit.damaged' });
      expect(told).toHaveLength(1);
      expect(store.problems).toHaveLength(1);
    }
  });

  it('tell when the secret was changed, and the chain goes on', async () => {
    await using store = await openStore();
    const first = await store.open();
    await recordMany(first, 5);
    await first[Symbol.asyncDispose]();
    const second = await store.open({ key: Buffer.alloc(32, 9) });
    await second.record(entry('with the new secret'));
    const records = await listAll(second);
    expect(records.map(({ action }) => action).slice(4)).toEqual([
      ...['user.create', 'audit.secretChanged', 'user.create'],
    ]);
    expect((await verifyAll(second)).fault).toMatchObject({ kind: 'wrongHash', number: 1 });
    const rest = await second.verify({ from: 6 }, new AbortController().signal);
    expect(rest).toMatchObject({ checked: 2, fault: undefined });
  });
});

describe('retention', () => {
  const DAY_MS = 86_400_000;

  it('deletes what is old, never the newest, and leaves a chain that verifies', async () => {
    await using store = await openStore();
    const audit = await store.open({ retainMs: DAY_MS });
    await recordMany(audit, 700);
    store.clock.advance(DAY_MS / 2);
    await recordMany(audit, 10);
    expect(await audit.applyRetention()).toBe(0);
    store.clock.advance(DAY_MS / 2 + 1);
    expect(await audit.applyRetention()).toBe(700);
    expect((await listAll(audit)).map(({ number }) => number)[0]).toBe(701);
    expect(await verifyAll(audit)).toMatchObject({ first: 701, checked: 10, fault: undefined });
    store.clock.advance(DAY_MS);
    expect(await audit.applyRetention()).toBe(9);
    expect(await verifyAll(audit)).toMatchObject({ first: 710, last: 710, fault: undefined });
    const again = await store.open({ retainMs: DAY_MS });
    expect((await again.record(entry('next'))).number).toBe(711);
    expect((await verifyAll(again)).fault).toBeUndefined();
    await store.spoil((transaction) => {
      transaction.delete({ collection: AUDIT, key: keyOf(710) });
    });
    expect((await verifyAll(again)).fault).toMatchObject({ kind: 'missing', number: 710 });
  });

  it('is not made to delete by a forged time, and keeps a broken place as evidence', async () => {
    await using store = await openStore();
    const audit = await store.open({ retainMs: DAY_MS });
    const records = await recordMany(audit, 10);
    await store.spoil((transaction) => {
      for (const record of records.slice(0, 5)) {
        const body = bodyOf({ ...record, time: 0 });
        transaction.put({ collection: AUDIT, key: keyOf(record.number), body });
      }
    });
    expect(await audit.applyRetention()).toBe(0);
    store.clock.advance(DAY_MS + 1);
    expect(await audit.applyRetention()).toBe(0);
    expect((await verifyAll(audit)).fault).toMatchObject({ kind: 'wrongHash', number: 1 });
    // As long again, and then it goes.
    store.clock.advance(DAY_MS);
    expect(await audit.applyRetention()).toBe(9);
  });

  it('goes on while a verification walks', async () => {
    await using store = await openStore();
    const audit = await store.open({ retainMs: DAY_MS });
    await recordMany(audit, 3000);
    store.clock.advance(DAY_MS + 1);
    const [found, deleted] = await Promise.all([verifyAll(audit), audit.applyRetention()]);
    expect(deleted).toBe(2999);
    expect(found.fault).toBeUndefined();
  });
});
