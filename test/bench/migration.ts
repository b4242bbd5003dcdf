/**
 * A store of MOLTEN_DOCUMENTS documents (default 100,000) of 350 bytes that moves to a PostgreSQL on this
 * machine, is copied there while one writer writes, and moves back. All in this process; the directories
 * are encrypted, and the database has fsync on.
 */
import { join } from 'node:path';

import { systemClock } from '../../src/platform/clock.ts';
import { migrate, type MigrationReport } from '../../src/server/migration.ts';
import { openCopyWriter } from '../../src/storage/embedded/copy-writer.ts';
import { openEmbeddedStore } from '../../src/storage/embedded/open.ts';
import type { StorageEngine } from '../../src/storage/engine.ts';
import { openPostgresStore } from '../../src/storage/postgres/open.ts';
import { startPostgres } from '../support/postgres.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { DOCUMENTS, fill, PASSWORD, results, timed, writeP99 } from './big-store.ts';

using directory = createTemporaryDirectory();
await using database = await startPostgres();
const store = { at: join(directory.path, 'store'), password: PASSWORD };
const schema = { at: database.url('molten'), password: database.password };

/** Goes along with a source in use; ends it when the copy is as new as it is. */
async function follow(
  places: { readonly from: typeof store; readonly to: typeof store },
  engine: StorageEngine,
): Promise<MigrationReport> {
  let closing: Promise<void> | undefined;
  const report = await migrate({
    ...{ ...places, follow: true },
    onProgress({ phase }) {
      if (phase === 'following') closing ??= engine.close();
    },
  });
  await closing;
  return report;
}

const source = await openEmbeddedStore({
  directory: store.at,
  clock: systemClock,
  password: PASSWORD,
});
await fill(source);
const there = await timed('to PostgreSQL, while it is open', () =>
  follow({ from: store, to: schema }, source),
);
results['of that nobody could write, ms'] = Math.round(there.cutMs ?? 0);

const node = await openPostgresStore({
  ...{ url: schema.at, password: schema.password, clock: systemClock },
  copies: await openCopyWriter({ directory: join(directory.path, 'node'), password: PASSWORD }),
});
const untilMs = performance.now() + 3000;
results['write p99 alone, ms'] = await writeP99(node, () => performance.now() > untilMs);
let isTaken = false;
const writing = writeP99(node, () => isTaken);
await timed('a snapshot while one writer writes', () => node.copy(join(directory.path, 'copy')));
isTaken = true;
results['write p99 during the snapshot, ms'] = await writing;
const back = { at: join(directory.path, 'back'), password: PASSWORD };
const returned = await timed('to a directory, while a node is open', () =>
  follow({ from: schema, to: back }, node),
);
results['of that nobody could write either, ms'] = Math.round(returned.cutMs ?? 0);
process.stdout.write(`${JSON.stringify({ bench: 'migration', documents: DOCUMENTS, results })}\n`);
