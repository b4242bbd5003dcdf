import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openDatabase, type TestDatabase } from '../../support/database.ts';
import { createTemporaryDirectory } from '../../support/temporary-directory.ts';
import { documentsOf, fill, inDirectory, openDirectory } from './moving.ts';
import { logOf, newSchema, openNode } from './scene.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openDatabase({ fsync: 'off', max_connections: '100' });
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe('a copy of a store in PostgreSQL', () => {
  it('is exact at its sequence while several nodes write', async () => {
    using directory = createTemporaryDirectory();
    const schema = newSchema();
    const node = await openNode(database, schema);
    const nodes = [node, await openNode(database, schema)];
    await fill(node);
    let isWriting = true;
    const writers = nodes.flatMap((writer, at) =>
      Array.from({ length: 4 }, async (_, n) => {
        for (let round = 0; isWriting; round++) {
          await writer.transact({ durability: 'async' }, (transaction) => {
            for (const part of ['x', 'y']) {
              const key = `${part}${String(at)}${String(n)}${String(round % 5)}`;
              transaction.put({ collection: 'busy', key, body: JSON.stringify({ round }) });
            }
          });
        }
      }),
    );
    const copies = [];
    for (let n = 0; n < 3; n++) {
      const path = join(directory.path, String(n));
      copies.push({ path, copy: await node.copy(path) });
    }
    isWriting = false;
    await Promise.all(writers);
    const log = await logOf(node);
    for (const { path, copy } of copies) {
      const engine = await openDirectory(inDirectory(path));
      expect(await logOf(engine)).toEqual(log.slice(0, Number(copy.sequence)));
      for (const collection of ['busy', 'cities']) {
        expect(await documentsOf(engine, collection)).toEqual(
          await documentsOf(node, collection, copy.sequence),
        );
      }
      await engine.close();
    }
    expect(copies.map(({ copy }) => copy.sequence)).not.toContain(log.at(-1)?.sequence);
    await Promise.all(nodes.map((one) => one.close()));
  }, 120_000);
});
