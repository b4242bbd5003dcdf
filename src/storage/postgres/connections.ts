import pg from 'pg';

import { DomainError } from '../../errors/domain-error.ts';
import type { DatabaseAddress } from './address.ts';
import { ConnectionLost, NotPrimary, sqlState } from './errors.ts';

/** One connection to the database. Statements are sent at once and answered in order. */
export interface Connection {
  /** Rows of one statement. Parameters are `$1`, `$2`, …; 64-bit integers come as numbers. */
  rows<T>(text: string, values?: readonly unknown[]): Promise<readonly T[]>;
  /** The word of the database for what it did, such as `COMMIT`, which may be `ROLLBACK` instead. */
  command(text: string, values?: readonly unknown[]): Promise<string>;
  onNotification(listener: () => void): void;
  readonly isUsable: boolean;
  /** Hangs up; the database takes back what is not committed. */
  close(): Promise<void>;
}

/** Connections that are shared. */
export interface ConnectionPool {
  /**
   * Lends a connection, with no transaction open before or after. OVERLOADED when none becomes free within
   * `connectMs`, or too many wait already.
   */
  use<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
  readonly waiting: number;
  readonly busy: number;
  close(): Promise<void>;
}

/** Milliseconds. */
export interface ConnectionTimes {
  readonly connectMs: number;
  /** Longest statement. */
  readonly statementMs: number;
  /** Longest wait for a lock. */
  readonly lockMs: number;
}

/** A transaction whose node does not go on is ended by the database, so that it holds up nobody. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/**
 * Longest wait for a lock, unless told otherwise: those who wait for a node that stands still are served when the
 * database has ended it, and do not give up just before.
 */
export const LOCK_MS: number = IDLE_IN_TRANSACTION_MS + 5000;
/** Calls that wait for a connection; more are refused at once. */
const WAITING_MAX = 1000;
/** What the pool says when it had no connection to lend in time, and none could be added. */
const NONE_FREE = 'timeout exceeded when trying to connect';
/** How much longer than the database a node waits for a statement, before it hangs up. */
const GRACE_MS = 2000;

/** Opens one connection to a server that takes writes; ConnectionLost when it does not, or is out of reach. */
export async function connect(
  address: DatabaseAddress,
  times: ConnectionTimes,
): Promise<Connection> {
  const client = new pg.Client(settingsOf(address, times));
  const connection = new PgConnection(client);
  await reached(client.connect());
  try {
    await demandWritable(connection);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * A name may lead to a server that was the primary and is a standby now: what it says is of the past, and it would
 * be taken for current.
 */
async function demandWritable(connection: Connection): Promise<void> {
  const [row] = await connection.rows<{ transaction_read_only: string }>(
    'SHOW transaction_read_only',
  );
  if (row?.transaction_read_only !== 'off') throw new NotPrimary();
}

/** Creates a pool; connections are opened when they are needed. */
export function createPool(
  address: DatabaseAddress,
  { max, ...times }: ConnectionTimes & { readonly max: number },
): ConnectionPool {
  const pool = new pg.Pool({ ...settingsOf(address, times), max });
  const writable = new WeakSet<pg.PoolClient>();
  // Of a connection that nobody uses: the next use opens another one.
  pool.on('error', () => undefined);
  return {
    async use(work) {
      if (pool.waitingCount >= WAITING_MAX) {
        throw tooBusy(`${WAITING_MAX.toString()} calls wait`, max, times.connectMs);
      }
      const client = await reached(pool.connect()).catch((error: unknown) => {
        const isBusy = error instanceof Error && error.message === NONE_FREE;
        const waited = `this call waited ${times.connectMs.toString()} ms`;
        throw isBusy ? tooBusy(waited, max, times.connectMs) : error;
      });
      const connection = new PgConnection(client);
      try {
        // Not by the pool's `verify`: whoever gave up waiting meanwhile would never give the connection back.
        if (!writable.has(client)) await demandWritable(connection);
        writable.add(client);
        const result = await work(connection);
        client.release();
        return result;
      } catch (error) {
        // After an error of the database itself, whatever was left open goes with the connection.
        client.release(!(error instanceof DomainError));
        throw error;
      } finally {
        connection.forget();
      }
    },
    get waiting() {
      return pool.waitingCount;
    },
    get busy() {
      return pool.totalCount - pool.idleCount;
    },
    close: () => pool.end(),
  };
}

function tooBusy(what: string, limit: number, retryAfterMs: number): DomainError {
  return new DomainError(
    'OVERLOADED',
    `${what} for one of ${limit.toString()} connections to the database (--storage-connections); try again later`,
    { metadata: { limit: limit.toString() }, retryAfterMs },
  );
}

/** The transaction has failed before. */
const ABORTED = '25P02';

class PgConnection implements Connection {
  readonly #client: pg.ClientBase;
  readonly #onError = (): void => {
    this.#isUsable = false;
  };
  #isUsable = true;
  #failure: unknown;

  constructor(client: pg.ClientBase) {
    this.#client = client;
    client.on('error', this.#onError);
    client.on('end', this.#onError);
  }

  get isUsable(): boolean {
    return this.#isUsable;
  }

  async rows<T>(text: string, values: readonly unknown[] = []): Promise<readonly T[]> {
    const result = await this.#ask(text, values);
    // Whoever wrote the statement knows its columns.
    return result.rows as T[];
  }

  async command(text: string, values: readonly unknown[] = []): Promise<string> {
    const { command } = await this.#ask(text, values);
    return command;
  }

  /** Statements behind one that failed fail as well; they all fail with what the first one did. */
  async #ask(text: string, values: readonly unknown[]): Promise<pg.QueryResult<object>> {
    try {
      return await reached(this.#client.query<object>(text, [...values]));
    } catch (error) {
      if (sqlState(error) !== ABORTED) this.#failure = error;
      throw this.#failure ?? error;
    }
  }

  onNotification(listener: () => void): void {
    this.#client.on('notification', listener);
  }

  forget(): void {
    this.#client.off('error', this.#onError);
    this.#client.off('end', this.#onError);
  }

  async close(): Promise<void> {
    this.#isUsable = false;
    if (this.#client instanceof pg.Client) await this.#client.end().catch(() => undefined);
  }
}

function settingsOf(
  { host, port, database, user, password, tls, schema }: DatabaseAddress,
  { connectMs, statementMs, lockMs }: ConnectionTimes,
): pg.ClientConfig {
  return {
    ...{ host, port, database, user, password: password ?? '', ssl: tls ?? false },
    ...{ connectionTimeoutMillis: connectMs, statement_timeout: statementMs },
    ...{ lock_timeout: lockMs, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS },
    ...{ query_timeout: statementMs + GRACE_MS, keepAlive: true, pipeline: true },
    ...{ application_name: 'moltendb', options: optionsOf(schema) },
    types: { getTypeParser },
  };
}

/**
 * What a session is told at its start. The schema was checked where the address was read; nothing is looked for
 * anywhere else. Walks are ordered as an index is and stop after a batch: of a table or a collection that has just
 * grown the planner expects few rows, and would for every batch sort all that is left. Compiling statements that
 * look at a batch costs more than it gains. Transactions that lock see what was committed while they waited, whatever
 * the database is set to.
 */
function optionsOf(schema: string): string {
  return `-c search_path=${schema} -c enable_sort=off -c jit=off -c default_transaction_isolation=read\\ committed`;
}

/** Sequences and counters of bytes fit a double. */
const getTypeParser: typeof pg.types.getTypeParser = (oid, format) =>
  oid === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(oid, format) as unknown);

/** Errors of statements pass; all others are of the connection. */
async function reached<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (sqlState(error) !== undefined) throw error;
    throw new ConnectionLost(problemOf(error), { cause: error });
  }
}

/** Of a name with several addresses, none of which answers, there is no message but a code. */
function problemOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message === '' && 'code' in error ? String(error.code) : error.message;
}
