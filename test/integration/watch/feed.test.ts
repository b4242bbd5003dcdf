import { describe, expect, it } from 'vitest';

import { createFeed } from '../../../src/domain/watch/feed.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

describe('a feed whose log is shortened before it was read', () => {
  it('says so to those who need what is gone, and goes on for all others', async () => {
    using directory = createTemporaryDirectory();
    await using store = await openEmbeddedStore({ directory: directory.path, clock: systemClock });
    const slow = heldUp(store);
    const { epoch } = await store.head();
    await using feed = createFeed(slow.engine, epoch);
    const all = { collections: undefined, needsPrevious: false, subject: 'somebody' };
    const start = await put(store);
    const late = feed.follow(all);
    const pages = late.next(start);
    slow.holdUp();
    await put(store);
    const floor = await put(store);
    await put(store);
    expect(await store.compact(floor)).toBe(floor);
    slow.goOn();
    // It waited, and is woken up to look for itself.
    expect(await pages).toMatchObject({ entries: [], upTo: start });
    await expect(late.next(start)).rejects.toMatchObject({ reason: 'SEQUENCE_COMPACTED' });
    const other = feed.follow(all);
    expect((await other.next(floor)).entries).toHaveLength(1);
    const fresh = other.next(feed.published);
    const last = await put(store);
    expect((await fresh).entries.map(({ sequence }) => sequence)).toEqual([last]);
  });
});

async function put(store: StorageEngine): ReturnType<StorageEngine['flush']> {
  await store.transact({ durability: 'sync' }, (transaction) => {
    transaction.put({ collection: 'c', key: 'k', body: '{}' });
  });
  return await store.flush();
}

/** The same store, whose log is read later. */
function heldUp(store: StorageEngine): {
  readonly engine: StorageEngine;
  readonly holdUp: () => void;
  readonly goOn: () => void;
} {
  let gate: PromiseWithResolvers<void> | undefined;
  const readLog: StorageEngine['readLog'] = async (after, options) => {
    await gate?.promise;
    return await store.readLog(after, options);
  };
  const engine = new Proxy(store, {
    get: (target, name) => {
      if (name === 'readLog') return readLog;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return {
    engine,
    holdUp: () => {
      gate = Promise.withResolvers();
    },
    goOn: () => {
      gate?.resolve();
    },
  };
}
