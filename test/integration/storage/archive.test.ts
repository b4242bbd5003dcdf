import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openArchive } from '../../../src/domain/snapshots/archive.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { recover, verify } from '../../../src/server/recovery.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import { archiveKeyOf } from '../../../src/storage/embedded/recovery/recover.ts';
import { openSegment } from '../../../src/storage/codec.ts';
import { reasonOf } from '../../contract/support.ts';
import { createManualClock } from '../../support/manual-clock.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { makeScene, PASSWORD, perform, recoverTo, type Step } from './scene.ts';

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
    const key = await archiveKeyOf(store, PASSWORD);
    expect(openSegment(bytes, 'it', key).entries.length).toBeGreaterThan(0);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      const at = bit >> 3;
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << (bit & 7)), at);
      expect(() => openSegment(changed, 'it', key), String(bit)).toThrow(/damaged/);
    }
    for (let cut = 0; cut < bytes.length; cut += 13) {
      expect(() => openSegment(bytes.subarray(0, cut), 'it', key)).toThrow(/damaged/);
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

  it('brings back what the store itself has compacted away, from a snapshot on', async () => {
    using directory = createTemporaryDirectory();
    const scene = await makeScene(directory.path, STEPS);
    {
      await using engine = await openEmbeddedStore({
        ...{ directory: join(directory.path, 'store'), clock: systemClock, password: PASSWORD },
      });
      const { sequence } = await engine.head();
      expect(await engine.compact(sequence)).toBe(sequence - 1n);
    }
    for (const { sequence, documents } of scene.kept.slice(-4, -2)) {
      const target = { kind: 'sequence', sequence } as const;
      expect(await recoverTo(scene, 'snapshot', target)).toBe(documents);
      expect(await reasonOf(recoverTo(scene, 'store', target))).toBe('SEQUENCE_COMPACTED');
    }
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
describe('an archive of something else', () => {
  it('is refused, and so is one that is not there', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, [[{ kind: 'put', key: 'a' }], [{ kind: 'put', key: 'b' }]]);
    const run = (archive: string): Promise<string | undefined> =>
      reasonOf(
        recover({
          ...{ source: join(directory.path, 'snapshot'), out: join(directory.path, 'out') },
          ...{ archive: join(directory.path, archive), password: PASSWORD },
          target: { kind: 'end' },
        }),
      );
    expect(await run('nowhere')).toBe('ARGUMENT_INVALID');
    expect(await run('store')).toBe('ARGUMENT_INVALID');
    const empty = verify(join(directory.path, 'nowhere'), {
      password: undefined,
      store: undefined,
    });
    expect(await reasonOf(empty)).toBe('ARGUMENT_INVALID');
  });

  it('ends at a whole commit, also when the point lies in one of the archive', async () => {
    using directory = createTemporaryDirectory();
    const three: Step = ['a', 'b', 'c'].map((key) => ({ kind: 'put', key }) as const);
    const { kept } = await makeScene(directory.path, [three, three, three, three]);
    const [last, before] = [kept.at(-1), kept.at(-2)];
    const report = await recover({
      ...{ source: join(directory.path, 'snapshot'), out: join(directory.path, 'out') },
      ...{ archive: join(directory.path, 'archive'), password: PASSWORD },
      target: { kind: 'sequence', sequence: (last?.sequence ?? 0) - 1 },
    });
    expect(report.sequence).toBe(before?.sequence);
    expect(report.notes[0]).toContain('inside a commit');
  });

  it('begins another chain after a time without one, and tells what is missing', async () => {
    using directory = createTemporaryDirectory();
    const clock = createManualClock();
    const place = { directory: join(directory.path, 'store'), clock };
    const options = { directory: join(directory.path, 'archive'), intervalMs: 3_600_000 };
    const steps: readonly Step[] = Array.from({ length: 5 }, () => [{ kind: 'put', key: 'a' }]);
    for (const isArchived of [true, false, true]) {
      await using engine = await openEmbeddedStore(place);
      const archive = isArchived
        ? await openArchive({ engine, ...options, onFailure: () => undefined })
        : undefined;
      await perform(engine, clock, steps);
      if (archive === undefined) await engine.compact((await engine.head()).sequence);
      await archive?.[Symbol.asyncDispose]();
    }
    const found = await verify(options.directory, { password: undefined, store: undefined });
    expect(found).toMatchObject({ timelines: [{ first: 1n, last: 16n, missing: 4n }] });
  });
});
