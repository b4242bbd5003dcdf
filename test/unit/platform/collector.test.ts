import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { afterEach, expect, it } from 'vitest';

import { collectAllRarely } from '../../../src/platform/collector.ts';

setFlagsFromString('--expose-gc');
const collectAll = runInNewContext('() => gc()') as () => void;

/** What lives when everything is collected, and what is added then. */
const ALIVE_MIB = 60;
const ADDED_MIB = 90;
/** V8 leaves more room to what has just grown fast. */
const SETTLE_MS = 2000;
const SOON_MS = 50;
const MAJOR = constants.NODE_PERFORMANCE_GC_MAJOR;

afterEach(() => {
  // What V8 does when it was told nothing.
  setFlagsFromString('--heap-growing-percent=0');
});

/** What a collection says of itself. */
interface Collection {
  readonly detail: { readonly kind: number };
}

/** Objects of a kilobyte each. */
async function add(kept: unknown[], mebibytes: number): Promise<void> {
  for (let added = 0; added < mebibytes; added++) {
    kept.push(Array.from({ length: 1024 }, () => new Array<number>(128).fill(0)));
    // V8 marks between turns too.
    await wait(0);
  }
}

/** How often V8 collects everything by itself while the heap grows to two and a half times its size. */
async function fullCollections(): Promise<number> {
  const kept: unknown[] = [];
  await add(kept, ALIVE_MIB);
  await wait(SETTLE_MS);
  collectAll();
  await wait(SOON_MS);
  let full = 0;
  const observer = new PerformanceObserver((list) => {
    const collections = list.getEntries() as unknown as Collection[];
    full += collections.filter(({ detail }) => detail.kind === MAJOR).length;
  });
  observer.observe({ entryTypes: ['gc'] });
  await add(kept, ADDED_MIB);
  await wait(SOON_MS);
  observer.disconnect();
  return full;
}

it('collects everything only when what is old has grown to three times what lived', async () => {
  const unasked = await fullCollections();
  collectAllRarely();

  expect(unasked).toBeGreaterThan(0);
  expect(await fullCollections()).toBe(0);
});
