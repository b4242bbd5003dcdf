import { randomBytes } from 'node:crypto';

import type { StorageEngine } from '../../../src/storage/engine.ts';
import { openCopyWriter } from '../../../src/storage/embedded/copy-writer.ts';
import { openPostgresStore } from '../../../src/storage/postgres/open.ts';
import { toSequence, type LogEntry } from '../../../src/storage/types.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { TestDatabase } from '../../support/database.ts';

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
