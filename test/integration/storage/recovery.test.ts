import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { openArchive } from '../../../src/domain/snapshots/archive.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { importLog, recover, verify, type RecoveryTarget } from '../../../src/server/recovery.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine, Transaction } from '../../../src/storage/engine.ts';
import { openSegment } from '../../../src/storage/codec.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { keysOf, reasonOf } from '../../contract/support.ts';
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';

const PASSWORD = 'correct horse battery staple';

/** The state after a commit, kept by the test itself. */
interface Kept {
  readonly sequence: number;
  readonly timestampMs: number;
  /** Keys and their bodies, sorted. */
  readonly documents: string;
}

type Step = readonly { readonly kind: 'put' | 'delete' | 'clear'; readonly key: string }[];

const STEP: fc.Arbitrary<Step> = fc.oneof(
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

async function perform(
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

async function documentsIn(directory: string): Promise<string> {
  await using engine = await openEmbeddedStore({
    ...{ directory, clock: systemClock, password: PASSWORD },
  });
  const keys = await keysOf(engine);
  const found = await engine.get('things', keys);
  return JSON.stringify(keys.map((key, at) => [key, found[at]?.body]));
}

interface Scene {
  readonly directory: string;
  readonly kept: readonly Kept[];
}

/** A store with an archive and a snapshot from the middle, closed again. */
async function makeScene(directory: string, steps: readonly Step[]): Promise<Scene> {
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

async function recoverTo(scene: Scene, source: string, target: RecoveryTarget): Promise<string> {
  const out = join(scene.directory, 'out');
  rmSync(out, { recursive: true, force: true });
  const archive = source === 'snapshot' ? join(scene.directory, 'archive') : undefined;
  const path = join(scene.directory, source);
  await recover({ source: path, out, archive, password: PASSWORD, target });
  return await documentsIn(out);
}

describe('a recovery', () => {
  it('reaches every commit and every moment, from a store and from a snapshot with an archive', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { minLength: 6, maxLength: 14 }), async (steps) => {
        using directory = createTemporaryDirectory();
        const scene = await makeScene(directory.path, steps);
        const half = Math.floor(steps.length / 2);
        for (const [at, { sequence, timestampMs, documents }] of scene.kept.entries()) {
          if (at % 3 !== 0) continue;
          const targets: readonly RecoveryTarget[] = [
            { kind: 'sequence', sequence },
            { kind: 'time', timestampMs: timestampMs + 5 },
          ];
          for (const target of targets) {
            expect(await recoverTo(scene, 'store', target)).toBe(documents);
            if (at < half) continue;
            expect(await recoverTo(scene, 'snapshot', target)).toBe(documents);
          }
        }
      }),
      { numRuns: 3 },
    );
  }, 120_000);

  it('keeps commits whole, starts a new timeline, and goes on from there', async () => {
    using directory = createTemporaryDirectory();
    const three: Step = ['a', 'b', 'c'].map((key) => ({ kind: 'put', key }) as const);
    const scene = await makeScene(directory.path, [three, three, three, three]);
    const [first, second] = scene.kept;
    const target = { kind: 'sequence', sequence: (second?.sequence ?? 0) - 1 } as const;
    const out = join(directory.path, 'out');
    const source = join(directory.path, 'store');
    const report = await recover({ source, out, archive: undefined, password: PASSWORD, target });
    expect(report.sequence).toBe(first?.sequence);
    expect(report.notes[0]).toContain('inside a commit');
    await using old = await openEmbeddedStore({
      ...{ directory: source, clock: systemClock, password: PASSWORD },
    });
    await using engine = await openEmbeddedStore({
      ...{ directory: out, clock: systemClock, password: PASSWORD },
    });
    const position = { epoch: (await old.head()).epoch, sequence: toSequence(1) };
    expect(await reasonOf(engine.readLog(position, { limit: 1 }))).toBe('SEQUENCE_COMPACTED');
    const { sequence } = await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.put({ collection: 'things', key: 'new', body: '{}' });
    });
    expect(Number(sequence)).toBe(report.sequence + 1);
  });

  it('brings dropped collections back, with settings as they were and indexes built anew', async () => {
    using directory = createTemporaryDirectory();
    const source = join(directory.path, 'store');
    const engine = await openEmbeddedStore({ directory: source, clock: systemClock });
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.createCollection('things', { documentsMax: 5, rules: '{"ttlMs":1000}' });
      transaction.put({ collection: 'things', key: 'a', body: '{"n":1}' });
    });
    const fields = [{ path: 'n', direction: 'asc' }] as const;
    await engine.createIndex({ collection: 'things', name: 'by-n', fields, unique: true });
    const { sequence: before } = await engine.head();
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.configureCollection('things', { documentsMax: 1, rules: '{}' });
    });
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.clearCollection('things');
    });
    const { sequence: cleared } = await engine.head();
    await engine.transact({ durability: 'sync' }, (transaction) => {
      transaction.dropCollection('things');
    });
    await engine.close();
    const recovered = async (sequence: bigint): Promise<StorageEngine> => {
      const out = join(directory.path, `out-${String(sequence)}`);
      const target = { kind: 'sequence', sequence: Number(sequence) } as const;
      await recover({ source, out, archive: undefined, password: undefined, target });
      return await openEmbeddedStore({ directory: out, clock: systemClock });
    };
    await using early = await recovered(before);
    expect(await early.findCollection('things')).toMatchObject({
      ...{ documents: 1, bytes: 7, settings: { documentsMax: 5, rules: '{"ttlMs":1000}' } },
    });
    await using late = await recovered(cleared);
    expect(await late.findCollection('things')).toMatchObject({
      ...{ documents: 0, settings: { documentsMax: 1, rules: '{}' } },
    });
  });

  it('refuses what is out of reach, and leaves nothing behind', async () => {
    using directory = createTemporaryDirectory();
    const scene = await makeScene(directory.path, [
      [{ kind: 'put', key: 'a' }],
      [{ kind: 'put', key: 'b' }],
    ]);
    const out = join(directory.path, 'out');
    const source = join(directory.path, 'store');
    const run = (change: object): Promise<string | undefined> =>
      reasonOf(
        recover({
          ...{ source, out, archive: undefined, password: PASSWORD },
          ...{ target: { kind: 'end' }, ...change },
        }),
      );
    expect(await run({ target: { kind: 'sequence', sequence: 999 } })).toBe('SEQUENCE_IN_FUTURE');
    expect(await run({ password: 'wrong' })).toBe('ENGINE_UNAVAILABLE');
    expect(await run({ password: undefined })).toBe('ENGINE_UNAVAILABLE');
    expect(await run({ source: join(directory.path, 'nowhere') })).toBe('ARGUMENT_INVALID');
    expect(await run({ out: source })).toBe('ARGUMENT_INVALID');
    expect(readdirSync(directory.path)).not.toContain('out');
    expect(scene.kept.length).toBeGreaterThan(1);
  });
});

describe('an archive', () => {
  const STEPS: readonly Step[] = Array.from({ length: 6 }, (_, at) => [
    { kind: 'put', key: `k${String(at)}` },
  ]);

  it('shows any changed bit of a segment, a missing segment and a wrong key', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, STEPS);
    const store = join(directory.path, 'store');
    const archive = join(directory.path, 'archive');
    const found = await verify(archive, { password: PASSWORD, store });
    expect(found).toMatchObject({ kind: 'archive', timelines: [{ first: 1n, segments: 2 }] });
    const [epoch = ''] = readdirSync(archive);
    const names = readdirSync(join(archive, epoch)).sort();
    const path = join(archive, epoch, names[0] ?? '');
    const bytes = readFileSync(path);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      const at = bit >> 3;
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << (bit & 7)), at);
      expect(() => openSegment(changed, 'it', Buffer.alloc(32)), String(bit)).toThrow(/damaged/);
    }
    for (let cut = 0; cut < bytes.length; cut += 13) {
      expect(() => openSegment(bytes.subarray(0, cut), 'it', undefined)).toThrow(/damaged/);
    }
    expect(() => openSegment(bytes, 'it', undefined)).toThrow(/encrypted/);
    expect(() => openSegment(bytes, 'it', Buffer.alloc(32))).toThrow(/damaged/);
    expect(bytes.toString('latin1')).not.toContain('"k0"');
    writeFileSync(path, bytes.subarray(0, -1));
    const damaged = verify(archive, { password: PASSWORD, store });
    await expect(damaged).rejects.toThrow(names[0]);
  });

  it('knows a store that was put back to an older copy', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, STEPS);
    await using engine = await openEmbeddedStore({
      ...{ directory: join(directory.path, 'snapshot'), clock: systemClock, password: PASSWORD },
    });
    const options = { directory: join(directory.path, 'archive'), intervalMs: 3_600_000 };
    const opened = openArchive({ engine, ...options, onFailure: () => undefined });
    await expect(opened).rejects.toThrow(/an older copy/);
  });

  it('goes on over restarts, and holds the log until it is written', async () => {
    using directory = createTemporaryDirectory();
    const clock = createManualClock();
    const place = { directory: join(directory.path, 'store'), clock };
    const options = { directory: join(directory.path, 'archive'), intervalMs: 3_600_000 };
    const run = async (steps: readonly Step[]): Promise<void> => {
      await using engine = await openEmbeddedStore(place);
      await using archive = await openArchive({ engine, ...options, onFailure: () => undefined });
      await perform(engine, clock, steps);
      const { sequence } = await engine.head();
      expect(await engine.compact(sequence)).toBe(archive.archivedTo);
    };
    await run(STEPS);
    await run(STEPS);
    const found = await verify(options.directory, { password: undefined, store: undefined });
    expect(found).toMatchObject({ timelines: [{ first: 1n, last: 13n, segments: 2 }] });
  });
});

describe('verification', () => {
  it('names what is damaged in a store', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, [[{ kind: 'put', key: 'a' }], [{ kind: 'put', key: 'b' }]]);
    const snapshot = join(directory.path, 'snapshot');
    const sound = await verify(snapshot, { password: PASSWORD, store: undefined });
    expect(sound).toMatchObject({ kind: 'store', store: { problems: [] } });
    const file = join(snapshot, 'moltendb.sqlite');
    const bytes = readFileSync(file);
    const pages = bytes.length / 4096;
    let found = 0;
    for (let page = 1; page < pages; page++) {
      const changed = Buffer.from(bytes);
      const at = page * 4096 + 100;
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      writeFileSync(file, changed);
      const outcome = await verify(snapshot, { password: PASSWORD, store: undefined }).then(
        (one) => (one.kind === 'archive' ? [] : one.store.problems),
        (error: unknown) => [String(error)],
      );
      if (outcome.length > 0) found += 1;
    }
    expect(found).toBe(pages - 1);
  }, 60_000);
});

describe('the log of MoltenDB 0.x', () => {
  const LINES = [
    { cmd: 'INSERT', collection: 'c', key: 'a', value: { n: 1, _v: 1 }, _t: 1000 },
    { cmd: 'TX_BEGIN', collection: '', key: 'tx1', value: null, _t: 2000 },
    { cmd: 'INSERT', collection: 'c', key: 'a', value: { n: 2, _v: 2 }, _t: 2000 },
    { cmd: 'INSERT', collection: 'c', key: 'b', value: { n: 1 }, _t: 2000 },
    { cmd: 'TX_COMMIT', collection: '', key: 'tx1', value: null, _t: 2000 },
    { cmd: 'DELETE', collection: 'c', key: 'b', value: null, _t: 3000 },
    { cmd: 'INSERT', collection: 'gone', key: 'x', value: {}, _t: 3000 },
    { cmd: 'DROP', collection: 'gone', key: '', value: null, _t: 4000 },
    { cmd: 'INDEX', collection: 'c', key: 'n', value: null, _t: 4000 },
    { cmd: 'TX_BEGIN', collection: '', key: 'tx2', value: null, _t: 5000 },
    { cmd: 'INSERT', collection: 'c', key: 'never', value: {}, _t: 5000 },
  ];

  it('becomes a store with its past', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'my.log');
    writeFileSync(file, LINES.map((line) => JSON.stringify(line)).join('\n'));
    const out = join(directory.path, 'out');
    const { notes, checked } = await importLog({ file, out, password: PASSWORD });
    expect(notes).toHaveLength(2);
    expect(checked.problems).toEqual([]);
    await using engine = await openEmbeddedStore({
      ...{ directory: out, clock: systemClock, password: PASSWORD },
    });
    const [document] = await engine.get('c', ['a', 'b', 'never']);
    expect(document).toMatchObject({ version: 2n, body: '{"n":2}', createdAtMs: 1000 });
    const earlier = await engine.sequenceAt(1500);
    const [before] = await engine.get('c', ['a'], { atSequence: earlier });
    expect(before?.body).toBe('{"n":1}');
    const both = await engine.get('c', ['a', 'b'], { atSequence: await engine.sequenceAt(2000) });
    expect(both.map((one) => one?.body)).toEqual(['{"n":2}', '{"n":1}']);
  });

  it('is refused when it is damaged or encrypted, and nothing stays', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'my.log');
    const out = join(directory.path, 'out');
    for (const [text, reason] of [
      ['{"cmd":"INSERT"}\nnonsense', 'CORRUPTION_DETECTED'],
      ['\u0000\u0001binary', 'CORRUPTION_DETECTED'],
      ['{"cmd":"ENC","collection":"x","key":"y","value":"AAAA","_t":1}', 'ARGUMENT_INVALID'],
    ] as const) {
      writeFileSync(file, text);
      expect(await reasonOf(importLog({ file, out, password: undefined }))).toBe(reason);
      expect(readdirSync(directory.path)).toEqual(['my.log']);
    }
  });
});
