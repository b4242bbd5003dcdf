import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { startSweeper, type Sweeper } from '../../../src/domain/collections/sweeper.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import type { LogEntry } from '../../../src/storage/types.ts';
import { openDomain, type OpenDomain } from './open-domain.ts';

const HOUR_MS = 3_600_000;

function sweeperOf(domain: OpenDomain, failures: unknown[] = []): Sweeper {
  return startSweeper({
    ...{ engine: domain.engine, clock: domain.clock, intervalMs: HOUR_MS },
    onFailure: (error) => failures.push(error),
  });
}

async function logOf(engine: StorageEngine): Promise<readonly LogEntry[]> {
  const { epoch } = await engine.head();
  const start = { epoch, sequence: 0n as LogEntry['sequence'] };
  return await engine.readLog(start, { limit: 10_000 });
}

/** An engine in which something happens right before a transaction is committed. */
function meanwhile(engine: StorageEngine, happens: () => Promise<void>): StorageEngine {
  let isFirst = true;
  const transact: StorageEngine['transact'] = (options, body) =>
    engine.transact(options, async (transaction) => {
      const value = await body(transaction);
      if (isFirst) {
        isFirst = false;
        await happens();
      }
      return value;
    });
  return new Proxy(engine, {
    get: (target, name) => {
      if (name === 'transact') return transact;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

describe('a sweep', () => {
  it('removes what has expired, in slices, and writes why into the log', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { documentTtl: { field: ['at'], afterMs: 0 } });
    const soon = clock.now() + 10;
    const keys = Array.from({ length: 1100 }, (_, at) => `k${String(at)}`);
    await domain.fill('things', Object.fromEntries(keys.map((key) => [key, { at: soon }])));
    await domain.fill('things', { late: { at: soon + 1 }, never: {} });
    await using sweeper = sweeperOf(domain);
    expect(await sweeper.sweep()).toBe(0);
    clock.advance(10);
    expect(await sweeper.sweep()).toBe(1100);
    expect(await sweeper.sweep()).toBe(0);
    expect(await engine.findCollection('things')).toMatchObject({ documents: 2 });
    const removals = (await logOf(engine)).filter(({ kind }) => kind === 'delete');
    expect(removals).toHaveLength(1100);
    expect(new Set(removals.map(({ cause }) => cause))).toEqual(new Set(['expired']));
    expect(new Set(removals.map(({ commit }) => commit)).size).toBe(3);
  });

  it('empties a collection whose ttl has passed, in one entry, and keeps its settings', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('short', { ttlMs: 1000 });
    await domain.make('long', { ttlMs: 1001 });
    await domain.fill('short', { a: {}, b: {} });
    await domain.fill('long', { a: {} });
    clock.advance(1000);
    await using sweeper = sweeperOf(domain);
    await sweeper.sweep();
    expect(await engine.findCollection('short')).toMatchObject({ documents: 0 });
    expect(await engine.findCollection('long')).toMatchObject({ documents: 1 });
    expect((await logOf(engine)).at(-1)).toMatchObject({
      ...{ kind: 'clearCollection', collection: 'short', cause: 'expired' },
    });
    expect((await domain.catalog.find('short'))?.rules.ttlMs).toBe(1000);
  });

  it('leaves the collections of the system alone', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    const settings = { documentsMax: undefined, rules: '{"ttlMs":1000}' };
    await engine.transact({ durability: 'async' }, (transaction) => {
      transaction.createCollection('$things', settings);
    });
    await domain.fill('$things', { a: {} });
    clock.advance(HOUR_MS);
    await using sweeper = sweeperOf(domain);
    await sweeper.sweep();
    expect(await domain.keysOf('$things', ['a'])).toEqual(['a']);
  });

  it('keeps a document that was written anew while it swept', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { documentTtl: { field: undefined, afterMs: 10 } });
    await domain.fill('things', { a: {}, b: {} });
    clock.advance(10);
    const racing = meanwhile(engine, () => domain.fill('things', { a: { n: 2 } }));
    await using sweeper = sweeperOf({ ...domain, engine: racing });
    await sweeper.sweep();
    expect(await domain.keysOf('things', ['a', 'b'])).toEqual(['a']);
    expect(await engine.findCollection('things')).toMatchObject({ documents: 1 });
  });

  it('keeps a collection that was filled again while it swept', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { ttlMs: 1000 });
    await domain.fill('things', { a: {} });
    clock.advance(1000);
    const racing = meanwhile(engine, () => domain.fill('things', { b: {} }));
    await using sweeper = sweeperOf({ ...domain, engine: racing });
    await sweeper.sweep();
    expect(await domain.keysOf('things', ['a', 'b'])).toEqual(['a', 'b']);
  });

  it('keeps a collection whose ttl was taken away while it swept', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { ttlMs: 1000 });
    await domain.fill('things', { a: {} });
    clock.advance(1000);
    const settings = { documentsMax: undefined, rules: '{}' };
    const racing = meanwhile(engine, async () => {
      await engine.transact({ durability: 'async' }, (transaction) => {
        transaction.configureCollection('things', settings);
      });
    });
    await using sweeper = sweeperOf({ ...domain, engine: racing });
    await sweeper.sweep();
    expect(await domain.keysOf('things', ['a'])).toEqual(['a']);
  });

  it('goes on with the rest when one collection cannot be emptied', async () => {
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { ttlMs: 1000 });
    await domain.make('ones', { documentTtl: { field: undefined, afterMs: 1000 } });
    await domain.fill('things', { a: {} });
    await domain.fill('ones', { a: {} });
    clock.advance(1000);
    const failing = meanwhile(engine, () => Promise.reject(new Error('no')));
    const failures: unknown[] = [];
    await using sweeper = sweeperOf({ ...domain, engine: failing }, failures);
    expect(await sweeper.sweep()).toBe(1);
    expect(failures).toEqual([new Error('no')]);
    await sweeper.sweep();
    expect(await engine.findCollection('things')).toMatchObject({ documents: 0 });
  });

  it('comes by itself, and its failures stay inside', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    await using domain = await openDomain();
    await domain.make('things', { documentTtl: { field: undefined, afterMs: 1000 } });
    await domain.fill('things', { a: {} });
    domain.clock.advance(1000);
    const failing = meanwhile(domain.engine, () => Promise.reject(new Error('no')));
    const failures: unknown[] = [];
    const sweeper = sweeperOf({ ...domain, engine: failing }, failures);
    // Joins the sweep that the timer has started.
    const nextSweep = async (): Promise<void> => {
      vi.advanceTimersByTime(HOUR_MS);
      await sweeper.sweep().catch(() => undefined);
    };
    await nextSweep();
    expect(failures).toEqual([new Error('no')]);
    await nextSweep();
    expect(await domain.engine.findCollection('things')).toMatchObject({ documents: 0 });
    await sweeper[Symbol.asyncDispose]();
    expect(vi.getTimerCount()).toBe(0);
    expect(failures).toHaveLength(1);
  });

  it('stops between two slices when it is disposed of, and that is no failure', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    await using domain = await openDomain();
    const { clock, engine } = domain;
    await domain.make('things', { documentTtl: { field: undefined, afterMs: 10 } });
    const keys = Array.from({ length: 600 }, (_, at) => `k${String(at)}`);
    await domain.fill('things', Object.fromEntries(keys.map((key) => [key, {}])));
    clock.advance(10);
    const failures: unknown[] = [];
    let disposal: Promise<void> | undefined;
    const stopping = meanwhile(engine, () => {
      disposal = Promise.resolve(sweeper[Symbol.asyncDispose]());
      return Promise.resolve();
    });
    const sweeper = sweeperOf({ ...domain, engine: stopping }, failures);
    vi.advanceTimersByTime(HOUR_MS);
    await sweeper.sweep().catch(() => undefined);
    await disposal;
    expect(await engine.findCollection('things')).toMatchObject({ documents: 600 });
    expect(failures).toEqual([]);
  });
});
