import { setTimeout as wait } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';

import { afterEach, expect, it } from 'vitest';

import { collectAllRarely } from '../../../src/platform/collector.ts';
import { watchProcess } from '../../../src/platform/process-figures.ts';
import { collectAll } from '../../support/kept.ts';

/** What lives when everything is collected, and what is added then. */
const ALIVE_MIB = 60;
const ADDED_MIB = 90;
/** V8 leaves more room to what has just grown fast. */
const SETTLE_MS = 2000;
const SOON_MS = 50;

afterEach(() => {
  // What V8 does when it was told nothing.
  setFlagsFromString('--heap-growing-percent=0');
});

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
  using figures = watchProcess();
  await add(kept, ADDED_MIB);
  await wait(SOON_MS);
  return figures.gc().find(({ kind }) => kind === 'major')?.runs ?? NaN;
}

it('collects everything only when what is old has grown to three times what lived', async () => {
  const unasked = await fullCollections();
  collectAllRarely();

  expect(unasked).toBeGreaterThan(0);
  expect(await fullCollections()).toBe(0);
});
