import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { buildMigrated } from '../../../src/storage/embedded/recovery/migration.ts';
import { openDatabaseSource } from '../../../src/storage/postgres/migration-source.ts';
import { migrateStore, type MigrationTarget } from '../../../src/storage/transfer/migrate.ts';
import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { documentsOf, inDirectory, openDirectory } from './moving.ts';
import { newSchema, openNode, put } from './scene.ts';

/** Sessions that wait in the middle of a read; one that only holds a lock has no snapshot. */
const END_IDLE = `SELECT pg_terminate_backend(pid, 10000) AS ended FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'idle in transaction' AND backend_xmin IS NOT NULL`;

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off', max_connections: '100' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** A target that takes longer to read back, tidy and finish than the database lets a transaction wait. */
function slow(target: MigrationTarget, ended: object[]): MigrationTarget {
  let isFinished = false;
  const outlast = async (): Promise<void> => {
    // From then on both are read at once, and neither waits for the other.
    if (!isFinished) ended.push(...(await database.run('public', END_IDLE)));
  };
  return {
    insert: (table, rows) => target.insert(table, rows),
    assertMine: () => target.assertMine(),
    release: () => target.release(),
    async tidy() {
      await outlast();
      return await target.tidy();
    },
    async finish(end) {
      await outlast();
      await target.finish(end);
      isFinished = true;
    },
    read: (work) =>
      target.read(async (state) => {
        await outlast();
        return await work(state);
      }),
  };
}

it('a store moves from PostgreSQL, however long the target takes to be read back and finished', async () => {
  using directory = createTemporaryDirectory();
  const schema = newSchema();
  const node = await openNode(database, schema);
  for (const key of ['a', 'b', 'c']) await put(node, key);
  const to = { directory: join(directory.path, 'moved'), password: undefined };
  const { password } = database;
  await using source = await openDatabaseSource({ url: database.url(schema), password });
  const ended: object[] = [];
  let closing: Promise<void> | undefined;
  const report = await buildMigrated(to, (target) =>
    migrateStore({
      ...{ source, follow: true, target: slow(target, ended) },
      onProgress({ phase }) {
        if (phase === 'following') closing ??= put(node, 'd').then(() => node.close());
      },
    }),
  );
  await closing;
  expect(report.collections).toMatchObject([{ name: 'things', documents: 4 }]);
  const engine = await openDirectory(inDirectory(to.directory));
  expect(await documentsOf(engine, 'things')).toHaveLength(4);
  await engine.close();
  // No transaction held up the database meanwhile.
  expect(ended).toEqual([]);
});
