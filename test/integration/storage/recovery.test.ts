import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import Database from 'better-sqlite3-multiple-ciphers';
import { describe, expect, it } from 'vitest';

import fc from '../../support/fast-check.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import {
  activate,
  preview,
  recover,
  verify,
  type RecoveryTarget,
} from '../../../src/server/recovery.ts';
import { openEmbeddedStore } from '../../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { checkDirectory, recoverStore } from '../../../src/storage/embedded/recovery/recover.ts';
import { toSequence, toVersion, type LogEntry } from '../../../src/storage/types.ts';
import { put, reasonOf } from '../../contract/support.ts';
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
          const time: RecoveryTarget = { kind: 'time', timestampMs: timestampMs + 5 };
          // A step that does nothing makes no commit, and before the first one there is no time to go to.
          const times = sequence === 0 ? [] : [time];
          const targets: readonly RecoveryTarget[] = [{ kind: 'sequence', sequence }, ...times];
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

  it('ends at a whole commit of its source, also when there is an archive behind it', async () => {
    using directory = createTemporaryDirectory();
    const three: Step = ['a', 'b', 'c'].map((key) => ({ kind: 'put', key }) as const);
    const scene = await makeScene(directory.path, [three, three, three, three]);
    const [first, second] = scene.kept;
    const target = { kind: 'sequence', sequence: (second?.sequence ?? 0) - 1 } as const;
    const report = await recover({
      ...{ source: join(directory.path, 'snapshot'), out: join(directory.path, 'out') },
      ...{ archive: join(directory.path, 'archive'), password: PASSWORD, target },
    });
    expect(report.sequence).toBe(first?.sequence);
    expect(report.replayedEntries).toBe(0);
    expect(report.removedEntries).toBe((second?.sequence ?? 0) - report.sequence);
    expect(report.notes[0]).toContain('inside a commit');
    expect(await documentsIn(join(directory.path, 'out'))).toBe(first?.documents);
  });

  it('does not take a time before the first commit for an empty store', async () => {
    using directory = createTemporaryDirectory();
    const scene = await makeScene(directory.path, [
      [{ kind: 'put', key: 'a' }],
      [{ kind: 'put', key: 'b' }],
    ]);
    const firstMs = scene.kept[0]?.timestampMs ?? 0;
    for (const source of ['store', 'snapshot'] as const) {
      const target = { kind: 'time', timestampMs: firstMs - 3_600_000 } as const;
      await expect(recoverTo(scene, source, target)).rejects.toMatchObject({
        reason: 'ARGUMENT_INVALID',
        message: expect.stringContaining(new Date(firstMs).toISOString()),
      });
    }
  });

  it('only reads its source, which may be written meanwhile', async () => {
    using directory = createTemporaryDirectory();
    const source = join(directory.path, 'store');
    const shared = { archive: undefined, password: PASSWORD };
    const options = { directory: source, clock: systemClock, password: PASSWORD };
    {
      await using engine = await openEmbeddedStore(options);
      await put(engine, 'before', {});
      const { sequence } = await engine.head();
      const over = new AbortController();
      const writing = (async () => {
        for (let at = 0; !over.signal.aborted; at++)
          await put(engine, `k${String(at % 50)}`, { at });
      })();
      const target = { kind: 'sequence', sequence: Number(sequence) } as const;
      const live = { ...shared, source, out: join(directory.path, 'live'), target };
      const { checked } = await recover(live);
      over.abort();
      await writing;
      expect(checked.collections).toMatchObject([{ name: 'things', documents: 1 }]);
      expect(await documentsIn(join(directory.path, 'live'))).toBe('[["before","{}"]]');
      await put(engine, 'afterwards', {});
      // As a crash leaves it: much of it only in the write-ahead log.
      cpSync(source, join(directory.path, 'crashed'), { recursive: true });
    }
    const crashed = join(directory.path, 'crashed');
    const before = contentOf(crashed);
    expect(before.get('moltendb.sqlite-wal')).not.toBe(hashOf(''));
    const out = join(directory.path, 'out');
    await recover({ ...shared, source: crashed, out, target: { kind: 'end' } });
    expect(contentOf(crashed)).toEqual(before);
    expect(await documentsIn(out)).toContain('afterwards');
  });

  it('tells beforehand what it would change', async () => {
    using directory = createTemporaryDirectory();
    const live = join(directory.path, 'store');
    const before: Step = ['a', 'b', 'd', 'e'].map((key) => ({ kind: 'put', key }) as const);
    const after: Step = [
      { kind: 'delete', key: 'a' },
      { kind: 'put', key: 'c' },
      { kind: 'put', key: 'd' },
      { kind: 'delete', key: 'e' },
      { kind: 'put', key: 'f' },
    ];
    const scene = await makeScene(directory.path, [before, after]);
    const { differences } = await preview(
      {
        ...{ source: live, out: join(directory.path, 'out'), archive: undefined },
        ...{ password: PASSWORD, target: { kind: 'sequence', sequence: firstOf(scene) } },
      },
      live,
    );
    // What the store as it is lacks is added, what it has alone is removed.
    expect(differences).toEqual([
      {
        ...{ collection: 'things', removed: 2, added: 2, changed: 2 },
        sampleKeys: ['a', 'b', 'c', 'd', 'e', 'f'],
      },
    ]);
    expect(readdirSync(directory.path)).not.toContain('out.preview');
  });

  it('refuses an archive whose entry cannot be', async () => {
    using directory = createTemporaryDirectory();
    await makeScene(directory.path, [[{ kind: 'put', key: 'a' }], [{ kind: 'put', key: 'b' }]]);
    const source = join(directory.path, 'snapshot');
    const sequence = await (async () => {
      const { sequence: last } = await checkDirectory(source, PASSWORD);
      return toSequence(last + 1);
    })();
    const entry: LogEntry = {
      ...{
        sequence,
        commit: sequence,
        timestampMs: Date.UTC(2030, 0),
        kind: 'configureCollection',
      },
      ...{ collection: 'things', key: '', version: toVersion(0), body: '' },
      ...{ previousSequence: toSequence(0), createdSequence: sequence, createdAtMs: 0 },
      ...{ expiresAtMs: undefined, cause: undefined },
    };
    const out = join(directory.path, 'out');
    const request = { source, out, password: PASSWORD, target: { kind: 'end' } as const };
    const recovering = recoverStore({ ...request, archive: () => [entry] });
    expect(await reasonOf(recovering)).toBe('CORRUPTION_DETECTED');
    expect(readdirSync(directory.path)).not.toContain('out');
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

/** The sequence after the first commit. */
function firstOf({ kept }: Awaited<ReturnType<typeof makeScene>>): number {
  return kept[0]?.sequence ?? 0;
}

/** The files that hold data, by their hashes. */
function contentOf(directory: string): ReadonlyMap<string, string> {
  const names = readdirSync(directory).filter((name) => !/LOCK|-shm$/.test(name));
  return new Map(names.map((name) => [name, hashOf(readFileSync(join(directory, name)))]));
}

function hashOf(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

describe('verification', () => {
  it.each([
    ['no JSON', `UPDATE ver SET body = 'nonsense' WHERE kind = 1`, /no JSON object/],
    ['no object', `UPDATE ver SET body = '[1]' WHERE kind = 1`, /no JSON object/],
    ['no body', `UPDATE ver SET body = NULL WHERE kind = 1`, /no JSON object/],
    [
      'an object with something behind it',
      `UPDATE ver SET body = body || char(0) || 'x' WHERE kind = 1`,
      /no JSON object/,
    ],
    ['an entry of another key', `UPDATE ver SET key = 'other' WHERE kind = 1`, /does not hold it/],
    ['a missing entry', `DELETE FROM ver WHERE key = 'a'`, /is missing/],
    ['a time that goes back', `UPDATE ver SET ts = 0 WHERE key = 'a'`, /its time is before/],
    ['half a commit', `UPDATE ver SET first = 2 WHERE key = 'b'`, /is not whole/],
    ['another count', `UPDATE collection SET documents = 9 WHERE name = 'things'`, /counts 9/],
    [
      'a lost document of a collection that was dropped',
      `UPDATE collection SET retired = 99 WHERE name = 'things'; DELETE FROM ver WHERE key = 'a'`,
      /document 'a' of 'things'/,
    ],
  ])('finds %s', async (_, change, problem) => {
    using directory = createTemporaryDirectory();
    {
      await using engine = await openEmbeddedStore({
        ...{ directory: directory.path, clock: systemClock },
      });
      await put(engine, 'a', {});
      await put(engine, 'b', {});
    }
    const password = undefined;
    const sound = await checkDirectory(directory.path, password);
    expect(sound.problems).toEqual([]);
    const database = new Database(join(directory.path, 'moltendb.sqlite'));
    database.exec(change);
    database.close();
    const { problems } = await checkDirectory(directory.path, password);
    expect(problems.join('\n')).toMatch(problem);
  });

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
