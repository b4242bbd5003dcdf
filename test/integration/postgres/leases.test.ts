import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startSweeper } from '../../../src/domain/collections/sweeper.ts';
import { openArchive, type Archive } from '../../../src/domain/snapshots/archive.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { onOneNode } from '../../../src/server/one-node.ts';
import { verify } from '../../../src/server/recovery.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { failureOf, logOf, newSchema, openNode, put } from './scene.ts';

const HOUR_MS = 3_600_000;

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** As if the node that has them had paused for longer than leases last. */
async function expireLeases(schema: string): Promise<void> {
  await database.run(schema, 'UPDATE lease SET until = 0');
}

describe('a job of several nodes', () => {
  it('goes to another when the one that has it pauses, whose work is then refused', async () => {
    const schema = newSchema();
    const [one, other] = await Promise.all([
      openNode(database, schema),
      openNode(database, schema),
    ]);
    const lease = await one.lease('job');
    expect(await other.lease('job')).toBeUndefined();
    await expireLeases(schema);
    const taken = await other.lease('job');
    expect(taken?.fence).toBe((lease?.fence ?? 0) + 1);
    expect(await one.lease('job')).toBeUndefined();
    const late = one.transact({ durability: 'sync', lease }, (transaction) => {
      transaction.put({ collection: 'things', key: 'a', body: '{}' });
    });
    expect(await failureOf(late)).toBe(
      "TRANSACTION_CONFLICT: another node has taken the job 'job'",
    );
    expect(await logOf(one)).toEqual([]);
    await Promise.all([one.close(), other.close()]);
  });

  it('cannot be taken while work under it is being committed', async () => {
    const schema = newSchema();
    const [one, other] = await Promise.all([
      openNode(database, schema),
      openNode(database, schema),
    ]);
    const lease = await one.lease('job');
    // Each commit takes long, after it has looked at the lease.
    await database.run(
      schema,
      `CREATE FUNCTION tarry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_sleep(1); RETURN NEW; END $$`,
      'CREATE TRIGGER tarry BEFORE INSERT ON ver FOR EACH ROW EXECUTE FUNCTION tarry()',
    );
    await expireLeases(schema);
    const write = one.transact({ durability: 'sync', lease }, (transaction) => {
      transaction.put({ collection: 'things', key: 'a', body: '{}' });
    });
    const locked = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'INSERT INTO ver%' AND state = 'active'`;
    await expect.poll(() => database.run(schema, locked)).not.toEqual([]);
    // Waits for the commit, which has renewed it.
    expect(await other.lease('job')).toBeUndefined();
    expect((await write).sequence).toBe(2n);
    await Promise.all([one.close(), other.close()]);
  });

  it('is a sweep that one of them does', async () => {
    const schema = newSchema();
    const nodes = await Promise.all([1, 2, 3].map(() => openNode(database, schema)));
    const [first] = nodes;
    await first?.transact({ durability: 'sync' }, (transaction) => {
      for (let n = 0; n < 600; n++) {
        const key = `k${n.toString()}`;
        transaction.put({ collection: 'things', key, body: '{}', expiresAtMs: 1 });
      }
    });
    const failures: unknown[] = [];
    const sweepers = nodes.map((engine) =>
      startSweeper({
        ...{ engine, clock: systemClock, intervalMs: HOUR_MS },
        onFailure: (error) => failures.push(error),
      }),
    );
    const found = await Promise.all(sweepers.map((sweeper) => sweeper.sweep()));
    expect(found.filter((count) => count > 0)).toEqual([600]);
    expect(failures).toEqual([]);
    await Promise.all(sweepers.map((sweeper) => sweeper[Symbol.asyncDispose]()));
    await Promise.all(nodes.map((node) => node.close()));
  });
});

describe('work that is due on all nodes at one moment', () => {
  const job = 'backup';

  it('is done by one of them, and by another when that one is gone', async () => {
    const schema = newSchema();
    const nodes = await Promise.all([1, 2, 3].map(() => openNode(database, schema)));
    const done: number[] = [];
    const round = async (momentMs: number): Promise<void> => {
      const due = nodes.map((node, at) =>
        onOneNode(node, { job, momentMs }, () => Promise.resolve(void done.push(at))),
      );
      await Promise.all(due);
    };
    await round(1000);
    await round(2000);
    expect(done).toHaveLength(2);
    expect(new Set(done).size).toBe(1);
    const [gone] = nodes.splice(done[0] ?? 0, 1);
    await gone?.close();
    await round(2000);
    expect(done).toHaveLength(2);
    await round(3000);
    expect(done).toHaveLength(3);
    await Promise.all(nodes.map((node) => node.close()));
  });

  it('is not done again by one that comes late, and ends where the job is lost', async () => {
    const schema = newSchema();
    await using one = await openNode(database, schema);
    await using other = await openNode(database, schema);
    const begun: string[] = [];
    const note = (name: string) => (): Promise<void> => Promise.resolve(void begun.push(name));
    let isLost = false;
    const work = onOneNode(one, { job, momentMs: 1000 }, async (signal) => {
      begun.push('one at 1000');
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      isLost = true;
    });
    await expect.poll(() => begun).toEqual(['one at 1000']);
    await onOneNode(other, { job, momentMs: 2000 }, note('while one is at it'));
    await expireLeases(schema);
    await onOneNode(other, { job, momentMs: 1000 }, note('late'));
    expect(begun).toEqual(['one at 1000']);
    expect(isLost).toBe(false);
    await onOneNode(other, { job, momentMs: 2000 }, note('other at 2000'));
    expect(begun).toEqual(['one at 1000', 'other at 2000']);
    // The job is free again, and what is begun by taking it is not what was lost.
    await expireLeases(schema);
    await expect.poll(() => isLost, { timeout: 20_000 }).toBe(true);
    await work;
  });

  it('is kept from nobody by a node whose clock is hours ahead', async () => {
    const schema = newSchema();
    await using ahead = await openNode(database, schema);
    await using other = await openNode(database, schema);
    const begun: string[] = [];
    const note = (name: string) => (): Promise<void> => Promise.resolve(void begun.push(name));
    const nowMs = systemClock.now();
    await onOneNode(ahead, { job, momentMs: nowMs + 3 * HOUR_MS }, note('ahead'));
    await expireLeases(schema);
    await onOneNode(other, { job, momentMs: nowMs }, note('other'));
    await expireLeases(schema);
    await onOneNode(ahead, { job, momentMs: nowMs }, note('again'));
    expect(begun).toEqual(['ahead', 'other']);
  });
});

describe('an archive of several nodes', () => {
  const openOne = (engine: StorageEngine, directory: string): Promise<Archive> =>
    openArchive({ engine, directory, intervalMs: HOUR_MS, onFailure: () => undefined });

  const reached = async (archives: readonly Archive[]): Promise<readonly bigint[]> => {
    for (const archive of archives) await archive.run();
    return archives.map(({ archivedTo }) => archivedTo);
  };

  it('in one directory is one chain, whoever writes it', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const nodes = await Promise.all([1, 2, 3].map(() => openNode(database, schema)));
    const archives = await Promise.all(nodes.map((node) => openOne(node, directory.path)));
    for (let round = 0; round < 4; round++) {
      await Promise.all(nodes.map((node, at) => put(node, `${round.toString()}-${at.toString()}`)));
      await Promise.all(archives.map((archive) => archive.run()));
      if (round === 1) await expireLeases(schema);
    }
    // One for the collection.
    const sequence = 13n;
    await expect
      .poll(() => reached(archives), { timeout: 20_000 })
      .toEqual([sequence, sequence, sequence]);
    const found = await verify(directory.path, { password: undefined, store: undefined });
    expect(found).toMatchObject({ timelines: [{ first: 1n, last: sequence, missing: 0n }] });
    for (const archive of archives) await archive[Symbol.asyncDispose]();
    await Promise.all(nodes.map((node) => node.close()));
  });

  it('in a directory of each are as many, each of them whole', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const nodes = await Promise.all([1, 2].map(() => openNode(database, schema)));
    const places = ['a', 'b'].map((name) => join(directory.path, name));
    const archives = await Promise.all(
      nodes.map((node, at) => openOne(node, places[at] ?? directory.path)),
    );
    for (const node of nodes) await put(node, 'k');
    await expect.poll(() => reached(archives), { timeout: 20_000 }).toEqual([3n, 3n]);
    for (const place of places) {
      const found = await verify(place, { password: undefined, store: undefined });
      expect(found).toMatchObject({ timelines: [{ first: 1n, last: 3n, missing: 0n }] });
    }
    for (const archive of archives) await archive[Symbol.asyncDispose]();
    await Promise.all(nodes.map((node) => node.close()));
  });

  it('is not written by a node that paused before its segment had its name', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const [one, other] = await Promise.all([
      openNode(database, schema),
      openNode(database, schema),
    ]);
    const archive = await openOne(one, directory.path);
    await put(one, 'a');
    await archive.run();
    const { epoch } = await one.head();
    const place = join(directory.path, epoch);
    // What the node that pauses has written, and asked for, and is about to name.
    const partial = join(place, '.0000000000000003-0000000000000004.seg.x.partial');
    mkdirSync(place, { recursive: true });
    writeFileSync(partial, 'a segment');
    await put(other, 'b');
    await expireLeases(schema);
    const taken = await openOne(other, directory.path);
    await taken.run();
    expect(existsSync(partial)).toBe(false);
    expect(() => {
      renameSync(partial, join(place, '0000000000000003-0000000000000004.seg'));
    }).toThrow('ENOENT');
    expect(readdirSync(place).filter((name) => name.endsWith('.partial'))).toEqual([]);
    await put(other, 'c');
    await expect.poll(() => reached([taken, archive]), { timeout: 20_000 }).toEqual([4n, 4n]);
    const found = await verify(directory.path, { password: undefined, store: undefined });
    expect(found).toMatchObject({ timelines: [{ first: 1n, last: 4n, missing: 0n }] });
    for (const each of [archive, taken]) await each[Symbol.asyncDispose]();
    await Promise.all([one.close(), other.close()]);
  });
});
