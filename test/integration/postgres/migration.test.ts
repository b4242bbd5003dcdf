import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { verify } from '../../../src/server/recovery.ts';
import { openDirectorySource } from '../../../src/storage/embedded/recovery/migration.ts';
import { openDatabaseSource } from '../../../src/storage/postgres/migration-source.ts';
import { loadDatabase } from '../../../src/storage/postgres/migration-target.ts';
import { migrateStore } from '../../../src/storage/transfer/migrate.ts';
import { toSequence } from '../../../src/storage/types.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { NEWEST, STORE_PASSWORD, type ReleasedStore } from '../../support/released-store.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import {
  CITIES_MAX,
  documentsOf,
  fill,
  inDirectory,
  indexed,
  inSchema as placeIn,
  move,
  openDirectory,
  putAll,
  type Place,
} from './moving.ts';
import { failureOf, logOf, newSchema, openNode, put } from './scene.ts';

/** Of a test that moves real data, on a busy machine. */
const HEAVY_MS = 120_000;
/** How long something is waited for that is bound to come. */
const PATIENCE = { timeout: 20_000 };
const PASSWORD = 'correct horse battery staple';

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off', max_connections: '100' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

function inSchema(schema: string): Place {
  return placeIn(database, schema);
}

function tablesOf(schema: string): string {
  return `SELECT table_name FROM information_schema.tables WHERE table_schema = '${schema}'`;
}

describe('a store that moves', () => {
  it(
    'from a directory to PostgreSQL and back is the same, with all of its past',
    async () => {
      using directory = createTemporaryDirectory();
      const first = inDirectory(join(directory.path, 'first'), PASSWORD);
      const last = inDirectory(join(directory.path, 'last'), PASSWORD);
      const schema = newSchema();
      const source = await openDirectory(first);
      await fill(source);
      const request = { id: 'once', principal: 'p', fingerprint: 'f' };
      const answer = await source.transact({ durability: 'sync', request }, (transaction) => {
        transaction.put({ collection: 'things', key: 'c', body: '{}' });
      });
      const { sequence, epoch } = await source.head();
      const log = await logOf(source);
      const past = await documentsOf(source, 'cities', sequence - 10n);
      const now = await documentsOf(source, 'cities');
      await source.close();

      const there = await move(first, inSchema(schema));
      expect(there.collections.map(({ name, documents }) => [name, documents])).toEqual([
        ...[
          ['cities', CITIES_MAX - 1],
          ['countries', 250],
          ['due', 1],
          ['things', 2],
        ],
      ]);
      expect([BigInt(there.sequence), there.logEntries]).toEqual([sequence, log.length]);
      const back = await move(inSchema(schema), last);
      expect({ ...back, epoch: '' }).toEqual({ ...there, epoch: '' });
      expect(new Set([epoch, there.epoch, back.epoch]).size).toBe(3);

      expect((await verify(last.at, { password: PASSWORD, store: undefined })).kind).toBe('store');
      for (const engine of [await openNode(database, schema), await openDirectory(last)]) {
        expect(await logOf(engine)).toEqual(log);
        expect(await documentsOf(engine, 'cities')).toEqual(now);
        expect(await documentsOf(engine, 'cities', sequence - 10n)).toEqual(past);
        const again = await engine.transact({ durability: 'sync', request }, () => undefined);
        expect([again.replayed, again.sequence]).toEqual([true, answer.sequence]);
        expect(await put(engine, 'd')).toBe(sequence + 1n);
        await indexed(engine);
        await engine.close();
      }
    },
    HEAVY_MS,
  );

  it('may be one that a release has left', async () => {
    using directory = createTemporaryDirectory();
    cpSync(NEWEST, directory.path, { recursive: true });
    const from = inDirectory(join(directory.path, 'store'), STORE_PASSWORD);
    const schema = newSchema();
    const expected = JSON.parse(
      readFileSync(join(directory.path, 'expected.json'), 'utf8'),
    ) as ReleasedStore;
    await move(from, inSchema(schema));
    const node = await openNode(database, schema);
    for (const { sequence, documents } of [expected.middle, expected.end]) {
      const found = await documentsOf(node, 'orders', BigInt(sequence));
      expect(Object.fromEntries(found.map(({ key, body }) => [key, JSON.parse(body)]))).toEqual(
        documents,
      );
    }
    await node.close();
  });

  it('is read in batches that end with the row that passes 4 MiB', async () => {
    using directory = createTemporaryDirectory();
    const [at, schema] = [inDirectory(directory.path), newSchema()];
    const body = { text: 'x'.repeat(3 * 1024 * 1024) };
    const engine = await openDirectory(at);
    await putAll(
      engine,
      'things',
      ['a', 'b', 'c'].map((key) => [key, body] as const),
    );
    await engine.close();
    await move(at, inSchema(schema));
    const { at: url, password } = inSchema(schema);
    for (const source of [
      await openDirectorySource({ directory: at.at, password: undefined }),
      await openDatabaseSource({ url, password }),
    ]) {
      const lengths = await source.read(async (state) => {
        const first = await state.batch('ver', undefined);
        return [first.length, (await state.batch('ver', [first.length])).length];
      });
      // The collection comes first.
      expect(lengths).toEqual([3, 1]);
      await source[Symbol.asyncDispose]();
    }
  });

  it('names the index that a database cannot hold, and goes on without it', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const source = await openDirectory(inDirectory(directory.path));
    const names = ['a', 'b', 'c', 'd', 'e'];
    const body = Object.fromEntries(names.map((name) => [name, name.repeat(600)]));
    await putAll(source, 'things', [['a', body]]);
    const fields = names.map((path) => ({ path, direction: 'asc' }) as const);
    await source.createIndex({ collection: 'things', name: 'long', unique: false, fields });
    await source.close();
    await move(inDirectory(directory.path), inSchema(schema));
    const node = await openNode(database, schema);
    await expect
      .poll(async () => (await node.indexes('things'))[0], PATIENCE)
      .toMatchObject({ state: 'failed', failure: expect.stringContaining('the limit is 2000') });
    expect(await documentsOf(node, 'things')).toHaveLength(1);
    await node.close();
  });

  it(
    'follows what is written to a directory while it moves, until its server stops',
    async () => {
      using directory = createTemporaryDirectory();
      const from = inDirectory(directory.path);
      const schema = newSchema();
      const source = await openDirectory(from);
      await fill(source);
      const phases = new Set<string>();
      let isFollowed: () => void;
      const followed = new Promise<void>((resolve) => (isFollowed = resolve));
      const moving = move(from, inSchema(schema), {
        follow: true,
        onProgress({ phase }) {
          phases.add(phase);
          if (phase === 'following') isFollowed();
        },
      });
      for (let n = 0; n < 20; n++) await put(source, `during${String(n)}`);
      await followed;
      for (let n = 0; n < 20; n++) await put(source, `after${String(n)}`);
      await source.transact({ durability: 'sync' }, (transaction) => {
        transaction.delete({ collection: 'cities', key: 'k000009' });
        transaction.configureCollection('due', { documentsMax: 7, rules: '{}' });
        transaction.clearCollection('countries');
      });
      await putAll(source, 'countries', [['new', { name: 'Molten' }]]);
      const log = await logOf(source);
      const documents = await documentsOf(source, 'cities');
      await source.close();
      const report = await moving;
      expect([...phases]).toEqual(['copying', 'following', 'verifying']);
      expect(report.cutMs).toBeGreaterThan(0);
      const node = await openNode(database, schema);
      expect(await logOf(node)).toEqual(log);
      expect(await documentsOf(node, 'cities')).toEqual(documents);
      expect(await node.findCollection('due')).toMatchObject({ settings: { documentsMax: 7 } });
      expect((await documentsOf(node, 'countries')).map(({ key }) => key)).toEqual(['new']);
      await node.close();
    },
    HEAVY_MS,
  );

  it(
    'follows a database that is written to and shortened, until its last node stops',
    async () => {
      using directory = createTemporaryDirectory();
      const to = inDirectory(join(directory.path, 'moved'), PASSWORD);
      const schema = newSchema();
      const node = await openNode(database, schema);
      await fill(node);
      let isFollowed: () => void;
      const followed = new Promise<void>((resolve) => (isFollowed = resolve));
      const moving = move(inSchema(schema), to, {
        follow: true,
        onProgress({ phase }) {
          if (phase === 'following') isFollowed();
        },
      });
      await followed;
      const { sequence } = await node.head();
      await node.compact(toSequence(sequence - 5n));
      const before = (await node.head()).oldest;
      await expect
        .poll(async () => (await database.run(schema, 'SELECT * FROM clock'))[0], PATIENCE)
        .toMatchObject({ has_work: false, pruned_to: String(before) });
      await put(node, 'later');
      const [head, documents] = [await node.head(), await documentsOf(node, 'cities')];
      const { historyBytes } = node.health();
      await node.close();
      const report = await moving;
      expect(BigInt(report.sequence)).toBe(head.sequence);
      const engine = await openDirectory(to);
      expect(await engine.head()).toMatchObject({ sequence: head.sequence, oldest: head.oldest });
      expect(await documentsOf(engine, 'cities')).toEqual(documents);
      // What the database had removed already is removed here as well, and nothing else.
      await using opened = await openDirectorySource({ directory: to.at, password: PASSWORD });
      const prunedTo = (): Promise<number> =>
        opened.read(({ end }) => Promise.resolve(end.prunedTo));
      await expect.poll(prunedTo, PATIENCE).toBe(Number(head.oldest));
      expect(engine.health().historyBytes).toBe(historyBytes);
      await engine.close();
      const found = await verify(to.at, { password: PASSWORD, store: undefined });
      expect(found).toMatchObject({ store: { problems: [] } });
    },
    HEAVY_MS,
  );

  it('that forgets faster than it is followed is not moved', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const source = await openDirectory(inDirectory(directory.path));
    await put(source, 'a');
    const ended: (string | undefined)[] = [];
    const moving = failureOf(
      move(inDirectory(directory.path), inSchema(schema), { follow: true }),
    ).then((failure) => ended.push(failure));
    while (ended.length === 0) {
      for (const key of ['a', 'b', 'c']) await put(source, key);
      await source.compact((await source.head()).sequence);
    }
    await moving;
    await source.close();
    expect(ended[0]).toMatch(/^SEQUENCE_COMPACTED: the log was shortened/);
    expect(await database.run(schema, tablesOf(schema))).toEqual([]);
  });
});

describe('a place that cannot be moved to, or from', () => {
  it.each([
    ['the log', `UPDATE ver SET version = 2 WHERE key = 'b'`, 'head'],
    ['where the newest documents are', `UPDATE head SET seq = 1 WHERE key = 'b'`, 'head'],
    ["collection 'things'", `UPDATE head SET expires_at = 1 WHERE key = 'b'`, 'collection'],
    ['settings or access', `UPDATE collection SET rules = '{"x":1}'`, 'collection'],
  ] as const)('is one that changes %s', async (what, statement, after) => {
    using directory = createTemporaryDirectory();
    const engine = await openDirectory(inDirectory(directory.path));
    for (const key of ['a', 'b']) await put(engine, key);
    await engine.close();
    const schema = newSchema();
    await using source = await openDirectorySource({ directory: directory.path, password: '' });
    const { at: url, password } = inSchema(schema);
    const moving = loadDatabase({ url, password }, (target) =>
      migrateStore({
        ...{ source, follow: false, onProgress: () => undefined },
        target: {
          async insert(table, rows) {
            await target.insert(table, rows);
            if (table === after) await database.run(schema, statement);
          },
          tidy: () => target.tidy(),
          assertMine: () => target.assertMine(),
          finish: (end) => target.finish(end),
          read: (work) => target.read(work),
          release: () => target.release(),
        },
      }),
    );
    const failure = (await failureOf(moving)) ?? '';
    expect(failure).toContain('CORRUPTION_DETECTED');
    expect(failure).toContain(`: ${what}; nothing was given free`);
    expect(await database.run(schema, tablesOf(schema))).toEqual([]);
  });

  it('is a schema with a store or anything else in it, and stays as it is', async () => {
    using directory = createTemporaryDirectory();
    const from = inDirectory(directory.path);
    const source = await openDirectory(from);
    await put(source, 'a');
    await source.close();
    const [occupied, foreign] = [newSchema(), newSchema()];
    const node = await openNode(database, occupied);
    const sequence = await put(node, 'mine');
    expect(await failureOf(move(from, inSchema(occupied)))).toBe(
      `ARGUMENT_INVALID: schema '${occupied}' holds a store already; name one that is empty, by ?schema=, or drop it`,
    );
    expect((await node.head()).sequence).toBe(sequence);
    await node.close();
    await database.run('public', `CREATE SCHEMA ${foreign}`, `CREATE TABLE ${foreign}.t (n int)`);
    expect(await failureOf(move(from, inSchema(foreign)))).toContain('holds other tables already');
    expect(await database.run(foreign, 'SELECT * FROM t')).toEqual([]);
  });

  it('is a directory that exists, a second directory, or a schema without a store', async () => {
    using directory = createTemporaryDirectory();
    const from = inDirectory(directory.path);
    await (await openDirectory(from)).close();
    const schema = newSchema();
    await (await openNode(database, schema)).close();
    expect(await failureOf(move(inSchema(schema), from))).toContain('exists; name a directory');
    expect(await failureOf(move(from, inDirectory(`${from.at}-2`)))).toContain(
      'both are directories',
    );
    expect(await failureOf(move(inSchema(newSchema()), inDirectory(`${from.at}-3`)))).toContain(
      'ARGUMENT_INVALID: there is no store in the schema',
    );
    expect(existsSync(`${from.at}-3`)).toBe(false);
    const wrong = { ...inSchema(newSchema()), password: 'another' };
    expect(await failureOf(move(from, wrong))).toContain('the database refuses the user');
  });

  it('is in use, unless it is to be followed', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const from = inDirectory(directory.path);
    const [source, node] = [await openDirectory(from), await openNode(database, schema)];
    const other = newSchema();
    expect(await failureOf(move(from, inSchema(other)))).toMatch(
      /ENGINE_UNAVAILABLE: .* a server has '.*' open; stop that first/,
    );
    await expect
      .poll(() => failureOf(move(inSchema(schema), inDirectory(join(from.at, 'out')))), PATIENCE)
      .toMatch(/ENGINE_UNAVAILABLE: .* 1 servers told of themselves/);
    await source.close();
    await node.close();
    // What was refused left nothing that would be in the way.
    expect((await move(from, inSchema(other))).sequence).toBe(0);
  });

  it('is a schema that is being loaded by somebody else; who is overtaken ends', async () => {
    using directory = createTemporaryDirectory();
    const from = inDirectory(directory.path);
    const source = await openDirectory(from);
    await put(source, 'a');
    const schema = newSchema();
    let isFollowed: () => void;
    const followed = new Promise<void>((resolve) => (isFollowed = resolve));
    const first = failureOf(
      move(from, inSchema(schema), {
        follow: true,
        onProgress: ({ phase }) => {
          if (phase === 'following') isFollowed();
        },
      }),
    );
    await followed;
    const second = (): Promise<string | undefined> =>
      failureOf(move(from, inSchema(schema), { follow: true }));
    expect(await second()).toContain('is being loaded by another process');
    const others: Promise<string | undefined>[] = [];
    await expect
      .poll(async () => {
        // As if it had not been heard of for long; it may tell of itself in between.
        await database.run(schema, 'UPDATE load SET seen_at = 0');
        const other = second();
        others.push(other);
        return await Promise.race([other, first]);
      }, PATIENCE)
      .toContain('begun anew by another process');
    await source.close();
    expect((await Promise.all(others)).at(-1)).toBeUndefined();
  });
});
