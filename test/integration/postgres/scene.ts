import { randomBytes } from 'node:crypto';

import { DocumentEncoding, type WriteResult } from '../../../gen/molten/v1/documents_pb.ts';
import { toBody, type MoltenClient } from '../../../src/client/index.ts';
import type { StorageEngine } from '../../../src/storage/engine.ts';
import { openCopyWriter } from '../../../src/storage/embedded/copy-writer.ts';
import { openPostgresStore } from '../../../src/storage/postgres/open.ts';
import { toSequence, type LogEntry } from '../../../src/storage/types.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { TestDatabase } from '../../support/database.ts';
import type { TestServer } from '../../support/server.ts';
import { violationsOf, type AcknowledgedWrite } from '../../support/watch-properties.ts';
import { recordWatch, watchClient, type RecordedWatch } from '../../support/watching.ts';

/** Watches all that becomes of the collection `c`, at each of some servers. */
export async function watchAll(
  servers: readonly TestServer[],
  token: string,
): Promise<readonly RecordedWatch[]> {
  return await Promise.all(
    servers.map(({ url }) =>
      recordWatch(watchClient(url, token), {
        ...{ targets: [{ collection: 'c' }], includePrevious: true },
        ...{ encoding: DocumentEncoding.JSON, start: { case: 'afterSequence', value: 0n } },
      }),
    ),
  );
}

/** Writes, deletes and batches over few keys; what was acknowledged goes to `written`. */
export async function writeSome(
  client: MoltenClient,
  seed: number,
  written: AcknowledgedWrite[],
): Promise<void> {
  const { documents } = client;
  const note = (
    results: readonly WriteResult[],
    numbers: readonly (number | undefined)[],
  ): void => {
    const commit = results[0]?.sequence ?? 0n;
    for (const [at, { sequence, collection, key }] of results.entries()) {
      written.push({ sequence, collection, key, n: numbers[at], commit });
    }
  };
  for (let round = 0; round < 20; round++) {
    const n = seed * 100 + round;
    const key = `k${String(n % 7)}`;
    if (round % 5 === 3) {
      const { result } = await documents.deleteDocument({ collection: 'c', key });
      if (result?.deleted === true) note([result], [undefined]);
    } else if (round % 5 === 4) {
      const keys = ['k1', 'k3', 'k5'];
      const writes = keys.map((one, at) => ({ key: one, body: toBody({ n: n + at }) }));
      const { results } = await documents.batchSetDocuments({ collection: 'c', writes });
      note(
        results,
        keys.map((_, at) => n + at),
      );
    } else {
      const body = toBody({ n });
      const { result } = await documents.setDocument({ collection: 'c', key, body });
      if (result !== undefined) note([result], [n]);
    }
  }
}

/** What each watch was told against what was written, when it has come to the last of it. */
export async function violationsOfAll(
  watches: readonly RecordedWatch[],
  written: readonly AcknowledgedWrite[],
): Promise<readonly unknown[]> {
  const last = written.reduce((most, { sequence }) => (sequence > most ? sequence : most), 0n);
  const histories = await Promise.all(
    watches.map((watch) => watch.until((all) => (all.at(-1)?.sequence ?? 0n) >= last)),
  );
  return histories.flatMap((history) => violationsOf(history, written));
}

/** A name that no other test has. */
export function newSchema(): string {
  return `store_${randomBytes(8).toString('hex')}`;
}

/** Opens a node over a schema; `url` may lead there by another way. */
export async function openNode(
  database: TestDatabase,
  schema: string,
  url: string = database.url(schema),
): Promise<StorageEngine> {
  const { password } = database;
  const copies = await openCopyWriter({ directory: '', password: undefined });
  return await openPostgresStore({ url, password, clock: systemClock, copies });
}

/** Adds one to a counter, reading it in the transaction. */
export async function increment(engine: StorageEngine, key = 'counter'): Promise<number> {
  const { value } = await engine.transact({ durability: 'sync' }, async (transaction) => {
    const [document] = await transaction.get('things', [key]);
    const { n } = JSON.parse(document?.body ?? '{"n":0}') as { n: number };
    transaction.put({ collection: 'things', key, body: JSON.stringify({ n: n + 1 }) });
    return n + 1;
  });
  return value;
}

/** Puts one document of `things`. */
export async function put(engine: StorageEngine, key: string): Promise<bigint> {
  const { sequence } = await engine.transact({ durability: 'sync' }, (transaction) => {
    transaction.put({ collection: 'things', key, body: '{}' });
  });
  return sequence;
}

/** The whole log. */
export async function logOf(engine: StorageEngine): Promise<readonly LogEntry[]> {
  const { epoch } = await engine.head();
  const entries: LogEntry[] = [];
  for (;;) {
    const sequence = entries.at(-1)?.sequence ?? toSequence(0);
    const more = await engine.readLog({ epoch, sequence }, { limit: 1000 });
    if (more.length === 0) return entries;
    entries.push(...more);
  }
}

/** The reason and the message an operation fails with; undefined when it does not fail. */
export async function failureOf(operation: Promise<unknown>): Promise<string | undefined> {
  try {
    await operation;
    return undefined;
  } catch (error) {
    return error instanceof Error && 'reason' in error
      ? `${String(error.reason)}: ${error.message}`
      : String(error);
  }
}
