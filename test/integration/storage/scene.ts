import { rmSync } from 'node:fs';
import { join } from 'node:path';

import fc from '../../support/fast-check.ts';
import { openArchive } from '../../../src/domain/snapshots/archive.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { recover, type RecoveryTarget } from '../../../src/server/recovery.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine, Transaction } from '../../../src/storage/engine.ts';
import { keysOf } from '../../contract/support.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';

export const PASSWORD = 'correct horse battery staple';

/** The state after a commit, kept by the test itself. */
interface Kept {
  readonly sequence: number;
  readonly timestampMs: number;
  /** Keys and their bodies, sorted. */
  readonly documents: string;
}

export type Step = readonly { readonly kind: 'put' | 'delete' | 'clear'; readonly key: string }[];

export const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 }).chain((keys) =>
      fc.tuple(
        ...keys.map((key) =>
          fc.record({
            kind: fc.constantFrom('put', 'put', 'delete' as const),
            key: fc.constant(key),
          }),
        ),
      ),
    ),
  },
  { weight: 1, arbitrary: fc.constant([{ kind: 'clear', key: '' }] as Step) },
);

export async function perform(
  engine: StorageEngine,
  clock: ManualClock,
  steps: readonly Step[],
): Promise<readonly Kept[]> {
  const state = new Map<string, string>();
  const kept: Kept[] = [];
  for (const [at, step] of steps.entries()) {
    clock.advance(10);
    const exists = (await engine.findCollection('things')) !== undefined;
    const committed = await engine.transact({ durability: 'sync' }, (transaction) => {
      for (const one of step) apply(transaction, one, { at, exists });
    });
    for (const { kind, key } of step) {
      if (kind === 'put') state.set(key, `{"at":${String(at)}}`);
      else if (kind === 'delete') state.delete(key);
      else state.clear();
    }
    const documents = JSON.stringify([...state].sort());
    kept.push({ sequence: Number(committed.sequence), timestampMs: clock.now(), documents });
  }
  return kept;
}

function apply(
  transaction: Transaction,
  { kind, key }: Step[number],
  { at, exists }: { readonly at: number; readonly exists: boolean },
): void {
  if (kind === 'put') transaction.put({ collection: 'things', key, body: `{"at":${String(at)}}` });
  else if (kind === 'delete') transaction.delete({ collection: 'things', key });
  else if (exists) transaction.clearCollection('things');
}

export async function documentsIn(directory: string): Promise<string> {
  await using engine = await openEmbeddedStore({
    ...{ directory, clock: systemClock, password: PASSWORD },
  });
  const keys = await keysOf(engine);
  const found = await engine.get('things', keys);
  return JSON.stringify(keys.map((key, at) => [key, found[at]?.body]));
}

export interface Scene {
  readonly directory: string;
  readonly kept: readonly Kept[];
}

/** A store with an archive and a snapshot from the middle, closed again. */
export async function makeScene(directory: string, steps: readonly Step[]): Promise<Scene> {
  const clock = createManualClock();
  const place = { directory: join(directory, 'store'), clock, password: PASSWORD };
  const engine = await openEmbeddedStore(place);
  const archive = await openArchive({
    ...{ engine, directory: join(directory, 'archive'), intervalMs: 3_600_000 },
    onFailure: () => undefined,
  });
  const half = Math.floor(steps.length / 2);
  const first = await perform(engine, clock, steps.slice(0, half));
  await archive.run();
  await engine.copy(join(directory, 'snapshot'));
  const before = new Map(JSON.parse(first.at(-1)?.documents ?? '[]') as [string, string][]);
  const second = await performOn(engine, clock, { steps: steps.slice(half), before, offset: half });
  await archive[Symbol.asyncDispose]();
  await engine.close();
  return { directory, kept: [...first, ...second] };
}

async function performOn(
  engine: StorageEngine,
  clock: ManualClock,
  rest: {
    readonly steps: readonly Step[];
    readonly before: ReadonlyMap<string, string>;
    readonly offset: number;
  },
): Promise<readonly Kept[]> {
  // The first step writes down what was there, so that one function keeps all states.
  const again: Step = [...rest.before.keys()].map((key) => ({ kind: 'put', key }));
  const steps = again.length === 0 ? rest.steps : [again, ...rest.steps];
  return await perform(engine, clock, steps);
}

export async function recoverTo(
  scene: Scene,
  source: string,
  target: RecoveryTarget,
): Promise<string> {
  const out = join(scene.directory, 'out');
  rmSync(out, { recursive: true, force: true });
  const archive = source === 'snapshot' ? join(scene.directory, 'archive') : undefined;
  const path = join(scene.directory, source);
  await recover({ source: path, out, archive, password: PASSWORD, target });
  return await documentsIn(out);
}
