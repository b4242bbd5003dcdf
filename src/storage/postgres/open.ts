import { randomUUID } from 'node:crypto';

import { systemClock, type Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../engine.ts';
import type { EngineObserver } from '../observer.ts';
import type { CopyWriter } from '../transfer/copies.ts';
import { parseDatabaseUrl, type DatabaseAddress } from './address.ts';
import { flushTurn } from './catalog-turns.ts';
import { readClock, type ClockRow } from './clock-row.ts';
import {
  connect,
  createPool,
  LOCK_MS,
  type Connection,
  type ConnectionTimes,
} from './connections.ts';
import { createEngine } from './engine.ts';
import { isUnknown, nameOf, startFailure } from './errors.ts';
import { createFollowers, OUT_OF_REACH_MS } from './followers.ts';
import { createDoneJobs } from './jobs.ts';
import { createLogTurns } from './log-turn.ts';
import { createPins } from './pins.ts';
import { RELEASE, type Release } from './release.ts';
import { prepareSchema, sizeOf } from './schema.ts';
import { createStoreState } from './state.ts';
import { startTailer } from './tailer.ts';
import { createWriter } from './writer.ts';

/** How a store is opened. */
export interface PostgresStoreOptions {
  /** `postgres://user@host:port/database`; see `parseDatabaseUrl`. */
  readonly url: string;
  readonly password?: string | undefined;
  readonly clock: Clock;
  /** Connections for reads. Default 10, at least 1; writes and the log take two more. */
  readonly connections?: number;
  /** Longest statement in milliseconds. Default 30,000. */
  readonly statementMs?: number;
  readonly observer?: EngineObserver | undefined;
  /** Longest wait of writes for their turn, in milliseconds. Default 0: as long as the queue has room. */
  readonly waitMaxMs?: number;
  /** Writes copies of the store. Absent: it is not copied. */
  readonly copies?: CopyWriter | undefined;
  /** What the tables are to be. Default: those of this release. */
  readonly release?: Release;
}

const CONNECTIONS = 10;
const CONNECT_MS = 5000;
const STATEMENT_MS = 30_000;

/**
 * Opens a node over the tables in a database, making them when there are none.
 *
 * ARGUMENT_INVALID for an address that is none; ENGINE_UNAVAILABLE when the database cannot be reached,
 * refuses the user, or holds tables that were taken from this release.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<StorageEngine> {
  const { url, password, clock, observer, copies } = options;
  const address = parseDatabaseUrl(url, password);
  const times: ConnectionTimes = {
    ...{ connectMs: CONNECT_MS, lockMs: LOCK_MS },
    statementMs: options.statementMs ?? STATEMENT_MS,
  };
  const node = randomUUID();
  const release = options.release ?? RELEASE;
  const { row, bytes, channel } = await prepare(address, times, { node, release });
  const state = createStoreState(row);
  const pins = createPins();
  const followers = createFollowers(row, systemClock.monotonic());
  const done = createDoneJobs();
  const pool = createPool(address, { ...times, max: options.connections ?? CONNECTIONS });
  const shared = { node, format: release.format, address, times, clock, state, channel };
  const writer = createWriter({
    ...{ state, clock, observer, waitMaxMs: options.waitMaxMs ?? 0 },
    turns: createLogTurns({ ...shared, observer }),
  });
  let storedBytes = bytes;
  const tailer = startTailer({
    ...{ ...shared, followers, done, observer },
    times: { ...times, statementMs: Math.min(times.statementMs, OUT_OF_REACH_MS) },
    pinned: () => pins.lowest(),
    onSeen: () => {
      writer.look();
    },
    onSize: (counted) => {
      storedBytes = counted;
    },
  });
  return createEngine({
    ...{ node, name: nameOf(address), clock, pool, writer, tailer, state, pins, followers, done },
    storedBytes: () => storedBytes,
    copies: copies && { writer: copies, address, times, flush: () => writer.run(flushTurn()) },
  });
}

interface Prepared {
  readonly row: ClockRow;
  /** Of all tables. */
  readonly bytes: number;
  /** Undefined: the database cannot wake anybody up. */
  readonly channel: string | undefined;
}

/** Engines that speak like PostgreSQL may not know it. */
async function canNotify(connection: Connection, channel: string): Promise<boolean> {
  try {
    await connection.command(`LISTEN "${channel}"`);
    return true;
  } catch (error) {
    if (isUnknown(error)) return false;
    throw error;
  }
}

/** Makes the tables and finds out what the database can do. */
async function prepare(
  address: DatabaseAddress,
  times: ConnectionTimes,
  who: { readonly node: string; readonly release: Release },
): Promise<Prepared> {
  try {
    const connection = await connect(address, times);
    try {
      await prepareSchema(connection, address.schema, who);
      const row = await readClock(connection);
      const bytes = await sizeOf(connection, address.schema);
      const channel = `molten_${address.schema}`;
      return { row, bytes, channel: (await canNotify(connection, channel)) ? channel : undefined };
    } finally {
      await connection.close();
    }
  } catch (error) {
    throw startFailure(error, address);
  }
}
