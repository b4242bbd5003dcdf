import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../../src/platform/clock.ts';
import { activate, recover, verify, type RecoveryTarget } from '../../../src/server/recovery.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { reasonOf } from '../../contract/support.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { documentsIn, makeScene, PASSWORD, recoverTo, STEP, type Step } from './scene.ts';

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

describe('making a recovered store live', () => {
  const ONE: readonly Step[] = [[{ kind: 'put', key: 'a' }], [{ kind: 'put', key: 'b' }]];

  it('takes the live store away only when the other can take its place', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, ONE);
    const live = join(directory.path, 'store');
    const before = await documentsIn(live);
    const inside = join(live, 'recovered');
    const target = { kind: 'end' } as const;
    await recover({ source: live, out: inside, archive: undefined, password: PASSWORD, target });
    for (const other of [live, inside, join(directory.path, 'nowhere')]) {
      expect(await reasonOf(Promise.resolve().then(() => activate(other, live)))).toBe(
        'ARGUMENT_INVALID',
      );
    }
    expect(await documentsIn(live)).toBe(before);
    expect(readdirSync(directory.path).sort()).toEqual(['archive', 'snapshot', 'store']);
  });

  it('refuses what a recovery left unfinished', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, ONE);
    const live = join(directory.path, 'store');
    const partial = join(directory.path, 'out.partial');
    renameSync(join(directory.path, 'snapshot'), partial);
    expect(await reasonOf(Promise.resolve().then(() => activate(partial, live)))).toBe(
      'ARGUMENT_INVALID',
    );
    // The next recovery clears it away.
    const out = join(directory.path, 'out');
    const target = { kind: 'end' } as const;
    await recover({ source: live, out, archive: undefined, password: PASSWORD, target });
    expect(readdirSync(directory.path)).not.toContain('out.partial');
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
