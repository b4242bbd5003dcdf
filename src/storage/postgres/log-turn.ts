/**
 * Turns at the log: each is one transaction of the database that locks the clock first. Turns of one node
 * follow each other on one connection; turns of several nodes wait for each other at the clock.
 *
 * Everything a turn needs is asked at once, and all it writes is sent at once along with the COMMIT, so
 * that the clock is held for two exchanges with the database.
 */
import { randomInt } from 'node:crypto';

import { systemClock, type Clock } from '../../platform/clock.ts';
import { delay } from '../../platform/timers.ts';
import type { EngineObserver } from '../engine.ts';
import { writerGone } from '../commit/group-queue.ts';
import type { DatabaseAddress } from './address.ts';
import { lockClock, saveClock, type ClockRow } from './clock-row.ts';
import { connect, type Connection, type ConnectionTimes } from './connections.ts';
import { isConnectionLost, isTransient, translate } from './errors.ts';
import type { Statement } from './save.ts';
import type { StoreState } from './state.ts';

/** What a turn decided. */
export interface Decision<T> {
  readonly result: T;
  /** Undefined: nothing is written, and nothing is committed. */
  readonly commit:
    { readonly clock: ClockRow; readonly statements: readonly Statement[] } | undefined;
}

/** One kind of turn. */
export interface Turn<N, T> {
  /** Wait for stable storage. */
  readonly isSync: boolean;
  /** Asks for what is needed; sent along with the lock, and answered as of after it. */
  readonly load: (connection: Connection) => Promise<N>;
  /** Runs again when the transaction has to be tried again. */
  readonly decide: (
    connection: Connection,
    found: { readonly clock: ClockRow; readonly loaded: N },
  ) => Promise<Decision<T>>;
}

/** Takes turns. */
export interface LogTurns {
  /** ENGINE_UNAVAILABLE when the database is away for too long; then nobody knows what became of it. */
  take<N, T>(turn: Turn<N, T>): Promise<T>;
  /** Ends after the turns that were asked for. */
  close(): Promise<void>;
}

/** What turns are made of. */
export interface LogTurnsParts {
  /** Names this node. */
  readonly node: string;
  readonly address: DatabaseAddress;
  readonly times: ConnectionTimes;
  readonly clock: Clock;
  readonly state: StoreState;
  /** Wakes up the tailers of other nodes after a commit; undefined: the database cannot. */
  readonly channel: string | undefined;
  readonly observer?: EngineObserver | undefined;
}

/** How long a turn is tried while the database is away. */
const AWAY_MS_MAX = 10_000;
const RECONNECT_MS = 100;
const CONFLICTS_MAX = 8;
const JITTER_MS = 20;

const LAST_GROUP = 'SELECT last_group FROM node WHERE id = $1';
const SAVE_NODE = `INSERT INTO node (id, last_group, seen_at)
  VALUES ($1, $2, (extract(epoch FROM now()) * 1000)::bigint)
  ON CONFLICT (id) DO UPDATE SET last_group = excluded.last_group, seen_at = excluded.seen_at`;

/** Creates the turns of a node. */
export function createLogTurns(parts: LogTurnsParts): LogTurns {
  return new ClockTurns(parts);
}

/** A commit that was sent and not answered. */
interface Unanswered<T> {
  readonly group: number;
  readonly result: T;
  readonly clock: ClockRow;
}

class ClockTurns implements LogTurns {
  readonly #parts: LogTurnsParts;
  #connection: Connection | undefined;
  #needsSyncOn = false;
  #last: Promise<unknown> = Promise.resolve();
  #group = 0;
  #isClosed = false;

  constructor(parts: LogTurnsParts) {
    this.#parts = parts;
  }

  take<N, T>(turn: Turn<N, T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(writerGone());
    const mine = this.#last.then(() => this.#persist(turn));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    await this.#connection
      ?.command('DELETE FROM node WHERE id = $1', [this.#parts.node])
      .catch(() => '');
    await this.#connection?.close();
  }

  /** Tries until it is decided, or the database was away for too long. */
  async #persist<N, T>(turn: Turn<N, T>): Promise<T> {
    const endMs = systemClock.monotonic() + AWAY_MS_MAX;
    let unanswered: Unanswered<T> | undefined;
    for (let conflicts = 0; ;) {
      try {
        return await this.#once(turn, {
          before: unanswered,
          sent: (commit) => {
            unanswered = commit;
          },
        });
      } catch (error) {
        const isLost = isConnectionLost(error);
        await this.#leave(isLost);
        // The database answered, so that it is certain that nothing was committed.
        if (!isLost) unanswered = undefined;
        conflicts += isTransient(error) ? 1 : 0;
        const mayTryAgain = isLost
          ? systemClock.monotonic() < endMs
          : isTransient(error) && conflicts < CONFLICTS_MAX;
        if (!mayTryAgain) throw translate(error);
        await delay(isLost ? RECONNECT_MS : randomInt(JITTER_MS * conflicts) + 1);
      }
    }
  }

  async #once<N, T>(
    { isSync, load, decide }: Turn<N, T>,
    known: {
      readonly before: Unanswered<T> | undefined;
      readonly sent: (commit: Unanswered<T>) => void;
    },
  ): Promise<T> {
    const connection = await this.#connected();
    const [, , clock, [node], loaded] = await Promise.all([
      connection.command('BEGIN'),
      this.#setDurability(connection, isSync),
      lockClock(connection),
      connection.rows<{ last_group: number }>(LAST_GROUP, [this.#parts.node]),
      load(connection),
    ]);
    const { before } = known;
    if (before !== undefined && node?.last_group === before.group) {
      await connection.command('ROLLBACK');
      this.#publish(before.clock);
      return before.result;
    }
    const { result, commit } = await decide(connection, { clock, loaded });
    if (commit === undefined) {
      await connection.command('ROLLBACK');
      return result;
    }
    const durable = isSync ? commit.clock.seq : commit.clock.durable_seq;
    const next = { ...commit.clock, durable_seq: durable };
    const group = ++this.#group;
    known.sent({ group, result, clock: next });
    await this.#commit(connection, { group, clock: next, statements: commit.statements, isSync });
    this.#publish(next);
    return result;
  }

  async #commit(
    connection: Connection,
    work: {
      readonly group: number;
      readonly clock: ClockRow;
      readonly statements: readonly Statement[];
      readonly isSync: boolean;
    },
  ): Promise<void> {
    const { clock, channel, observer } = this.#parts;
    const startMs = clock.monotonic();
    const { text, values } = saveClock(work.clock);
    const answers = await Promise.all([
      ...work.statements.map((one) => connection.command(one.text, one.values)),
      connection.command(text, values),
      connection.command(SAVE_NODE, [this.#parts.node, work.group]),
      ...(channel === undefined ? [] : [connection.command(`NOTIFY "${channel}"`)]),
      connection.command('COMMIT'),
    ]);
    // A transaction that failed answers a COMMIT as well.
    if (answers.at(-1) !== 'COMMIT') throw new Error('the database did not commit');
    if (work.isSync) observer?.synced(clock.monotonic() - startMs);
  }

  #publish(clock: ClockRow): void {
    this.#parts.state.apply(clock);
  }

  /** Leaves no transaction open; a connection that fails at it is not used again. */
  async #leave(isLost: boolean): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    const isClean =
      !isLost &&
      (await connection.command('ROLLBACK').then(
        () => true,
        () => false,
      ));
    if (isClean && connection.isUsable) return;
    this.#connection = undefined;
    await connection.close();
  }

  async #connected(): Promise<Connection> {
    if (this.#connection?.isUsable === true) return this.#connection;
    const { address, times } = this.#parts;
    const connection = await connect(address, times);
    const [row] = await connection.rows<{ synchronous_commit: string }>('SHOW synchronous_commit');
    // A server may be told to wait for standbys as well; that is kept.
    this.#needsSyncOn = ['off', 'local'].includes(row?.synchronous_commit ?? '');
    this.#connection = connection;
    return connection;
  }

  async #setDurability(connection: Connection, isSync: boolean): Promise<void> {
    if (isSync && !this.#needsSyncOn) return;
    await connection.command(`SET LOCAL synchronous_commit TO ${isSync ? 'on' : 'off'}`);
  }
}
