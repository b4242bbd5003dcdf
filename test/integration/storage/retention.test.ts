/** How much of the past a store keeps, on a store that is real. */
import { describe, expect, it } from 'vitest';

import { createOldestEntry } from '../../../src/domain/node/log-age.ts';
import { startRetention, type Retention } from '../../../src/domain/node/retention.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { toSequence, type Sequence } from '../../../src/storage/types.ts';
import { put, reasonOf } from '../../contract/support.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const BODY_CHARS = 10_000;
const WRITES = 100;

interface Scene extends AsyncDisposable {
  readonly engine: StorageEngine;
  readonly clock: ManualClock;
  /** Retention by these rules, which looks only when it is told to. */
  keep(rules: { readonly ageMs?: number; readonly bytesMax?: number }): Retention;
  /** The text of the document, as it was at a sequence. */
  readAt(sequence: Sequence): Promise<string | undefined>;
}

async function openScene(): Promise<Scene> {
  const directory = createTemporaryDirectory();
  const clock = createManualClock();
  const engine = await openEmbeddedStore({ directory: directory.path, clock });
  for (let n = 1; n <= WRITES; n++) {
    await put(engine, 'k', { n, text: 'x'.repeat(BODY_CHARS) });
    clock.advance(1000);
  }
  return {
    ...{ engine, clock },
    keep: (rules) =>
      startRetention({
        ...{ engine, clock, rules: { ageMs: 0, bytesMax: 0, ...rules } },
        ...{ intervalMs: 3_600_000, onFailure: () => undefined },
      }),
    async readAt(atSequence) {
      const [document] = await engine.get('things', ['k'], { atSequence });
      return document?.body;
    },
    async [Symbol.asyncDispose]() {
      await engine.close();
      directory[Symbol.dispose]();
    },
  };
}

describe('the oldest entry of a log', () => {
  it('is as old as the past reaches, also when that was cut', async () => {
    await using scene = await openScene();
    const { engine, clock } = scene;
    const oldestEntry = createOldestEntry(engine);
    const age = async (): Promise<number> => clock.now() - ((await oldestEntry()) ?? NaN);
    expect(await age()).toBe(WRITES * 1000);
    clock.advance(500);
    expect(await age()).toBe(WRITES * 1000 + 500);
    await using retention = scene.keep({ ageMs: 10_000 });
    await retention.apply();
    // The youngest of those that were there ten seconds ago can be read at; the next is the first kept.
    expect(await age()).toBe(9500);
  });

  it('is found also when the past is cut between the floor and its entry', async () => {
    await using scene = await openScene();
    const { engine, clock } = scene;
    let isCut = false;
    const cut = {
      async head() {
        const head = await engine.head();
        if (!isCut) await engine.compact(toSequence(head.sequence - 10n));
        isCut = true;
        return head;
      },
      readLog: engine.readLog.bind(engine),
    };
    const atMs = await createOldestEntry(cut)();
    expect(clock.now() - (atMs ?? NaN)).toBe(10_000);
  });

  it('is none in a log without entries', async () => {
    using directory = createTemporaryDirectory();
    const engine = await openEmbeddedStore({
      ...{ directory: directory.path, clock: createManualClock() },
    });
    expect(await createOldestEntry(engine)()).toBeUndefined();
    await engine.close();
  });
});

describe('the history of a store', () => {
  it('is cut by its size, and no further', async () => {
    await using scene = await openScene();
    const { engine } = scene;
    const { sequence: newest } = await engine.head();
    expect(engine.health().historyBytes).toBeGreaterThan((WRITES - 2) * BODY_CHARS);
    const bytesMax = 20 * BODY_CHARS;
    await using retention = scene.keep({ bytesMax });
    // What is behind the floor is removed in the background, a slice at a time.
    await expect
      .poll(
        async () => {
          await retention.apply();
          return engine.health().historyBytes;
        },
        { timeout: 20_000 },
      )
      .toBeLessThanOrEqual(bytesMax);
    const { oldest } = await engine.head();
    expect(engine.health().historyBytes).toBeGreaterThan(bytesMax / 4);
    expect(await scene.readAt(newest)).toContain(`"n":${String(WRITES)}`);
    expect(await scene.readAt(oldest)).toContain('"n":');
    expect(await reasonOf(scene.readAt(toSequence(oldest - 1n)))).toBe('SEQUENCE_COMPACTED');
    // And what fits is left alone.
    expect(await retention.apply()).toBe(oldest);
  });

  it('is cut by its age, to the last state before it', async () => {
    await using scene = await openScene();
    const { engine, clock } = scene;
    const { sequence: newest } = await engine.head();
    await using retention = scene.keep({ ageMs: 10_000 });
    const floor = await retention.apply();
    // Nine writes are younger; the one before them is what was there ten seconds ago.
    expect(newest - floor).toBe(9n);
    expect(await reasonOf(scene.readAt(toSequence(floor - 1n)))).toBe('SEQUENCE_COMPACTED');
    clock.advance(3_600_000);
    // The newest commit is always kept.
    expect(await retention.apply()).toBe(newest - 1n);
    expect(await scene.readAt(newest)).toContain(`"n":${String(WRITES)}`);
  });
});
