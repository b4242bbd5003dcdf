import type { StoreCopy } from '../engine.ts';
import type { CopyWriter } from '../transfer/copies.ts';
import { copyTable, TABLE_NAMES } from '../transfer/rows.ts';
import type { DatabaseAddress } from './address.ts';
import { connect, type ConnectionTimes } from './connections.ts';
import { translate } from './errors.ts';
import { createStateReader } from './state-reader.ts';

/** What copies are made of. */
export interface CopyParts {
  readonly writer: CopyWriter;
  readonly address: DatabaseAddress;
  readonly times: ConnectionTimes;
  /** Puts on stable storage what is not there yet. */
  readonly flush: () => Promise<unknown>;
}

/**
 * Copies the store as one transaction of the database sees it into a new directory, while all nodes go on
 * writing. It has a connection of its own, so that readers keep theirs.
 */
export async function copyStore(
  { writer, address, times, flush }: CopyParts,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<StoreCopy> {
  try {
    const connection = await connect(address, times);
    try {
      await connection.command('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const from = await createStateReader(connection);
      // A crash would take it back, and end this connection too.
      if (!from.isDurable) await flush();
      await using to = await writer.begin(directory);
      for (const name of TABLE_NAMES) await copyTable({ from, to }, name, { signal });
      return await to.finish(from.end, signal);
    } finally {
      await connection.close();
    }
  } catch (error) {
    throw translate(error);
  }
}
