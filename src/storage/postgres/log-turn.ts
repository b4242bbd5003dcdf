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
import type { EngineObserver } from '../observer.ts';
import { writerGone } from '../commit/group-queue.ts';
import type { DatabaseAddress } from './address.ts';
import { lockClock, NOW_MS, saveClock, type ClockRow } from './clock-row.ts';
import { connect, type Connection, type ConnectionTimes } from './connections.ts';
import { isConnectionLost, isTransient, translate, unreachable } from './errors.ts';
import { findTooOld } from './release.ts';
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
  /** What this node writes. */
  readonly format: number;
  readonly address: DatabaseAddress;
  readonly times: ConnectionTimes;
  readonly clock: Clock;
  readonly state: StoreState;
  /** Wakes up the tailers of other nodes after a commit; undefined: the database cannot. */
  readonly channel: string | undefined;
  readonly observer?: EngineObserver | undefined;
}

/** How long a turn is tried after it first found the database away. */
const AWAY_MS_MAX = 10_000;
const RECONNECT_MS = 100;
const CONFLICTS_MAX = 8;
const JITTER_MS = 20;

const LAST_GROUP = 'SELECT last_group FROM node WHERE id = $1';
const SAVE_NODE = `INSERT INTO node (id, last_group, seen_at, format) VALUES ($1, $2, ${NOW_MS}, $3)
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

/** How often and for how long one turn is tried. */
interface Patience {
  /** The pause before it is tried again, in milliseconds; undefined: it is not. */
  after(error: unknown, isAway: boolean): number | undefined;
}

function createPatience(): Patience {
  let conflicts = 0;
  let endMs = Infinity;
  return {
    after(error, isAway) {
      if (isAway) {
        const nowMs = systemClock.monotonic();
        // From the first time on: a connection may be silent for longer than that before it counts as lost.
        endMs = Math.min(endMs, nowMs + AWAY_MS_MAX);
        return nowMs < endMs ? RECONNECT_MS : undefined;
      }
      if (!isTransient(error) || ++conflicts >= CONFLICTS_MAX) return undefined;
      return randomInt(JITTER_MS * conflicts) + 1;
    },
  };
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
    await this.#connection?.close();
  }

  /** Tries until it is decided, or the database was away for too long. */
  async #persist<N, T>(turn: Turn<N, T>): Promise<T> {
    let unanswered: Unanswered<T> | undefined;
    const patience = createPatience();
    for (;;) {
      const before = unanswered;
      try {
        if (before !== undefined && (await this.#wasCommitted(before.group))) {
          this.#publish(before.clock);
          return before.result;
        }
        unanswered = undefined;
        return await this.#once(turn, (commit) => {
          unanswered = commit;
        });
      } catch (error) {
        const isLost = isConnectionLost(error);
        const isAnswering = await this.#leave(isLost);
        // It was refused by a session that goes on. One that ends tells why, and not what became of a COMMIT.
        if (isAnswering && unanswered !== before) unanswered = undefined;
        const pauseMs = patience.after(error, isLost || unanswered !== undefined);
        // As long as nobody knows whether it was written, no reason may say that it was not.
        if (pauseMs === undefined) throw unanswered ? unreachable(error) : translate(error);
        await delay(pauseMs);
      }
    }
  }

  /** Whether a commit whose answer was lost has come about; behind the lock, so that it has ended. */
  async #wasCommitted(group: number): Promise<boolean> {
    const connection = await this.#connected();
    const [, , [node]] = await Promise.all([
      connection.command('BEGIN'),
      lockClock(connection),
      connection.rows<{ last_group: number }>(LAST_GROUP, [this.#parts.node]),
      connection.command('ROLLBACK'),
    ]);
    return node?.last_group === group;
  }

  async #once<N, T>(
    { isSync, load, decide }: Turn<N, T>,
    sent: (commit: Unanswered<T>) => void,
  ): Promise<T> {
    const connection = await this.#connected();
    const locking = Promise.all([
      connection.command('BEGIN'),
      this.#setDurability(connection, isSync),
      lockClock(connection),
      // Behind the lock: a node that stood still may find the tables of another release.
      findTooOld(connection, this.#parts.format),
    ]);
    const loading = load(connection);
    // What goes before says why it failed.
    loading.catch(() => undefined);
    const [, , clock, tooOld] = await locking;
    if (tooOld !== undefined) throw tooOld;
    const loaded = await loading;
    const { result, commit } = await decide(connection, { clock, loaded });
    if (commit === undefined) {
      await connection.command('ROLLBACK');
      return result;
    }
    const durable = isSync ? commit.clock.seq : commit.clock.durable_seq;
    const next = { ...commit.clock, durable_seq: durable };
    const group = ++this.#group;
    sent({ group, result, clock: next });
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
    const { node, format, clock, channel, observer } = this.#parts;
    const startMs = clock.monotonic();
    const { text, values } = saveClock(work.clock);
    const answering = Promise.all([
      ...work.statements.map((one) => connection.command(one.text, one.values)),
      connection.command(text, values),
      connection.command(SAVE_NODE, [node, work.group, format]),
      connection.command('COMMIT'),
    ]);
    // In a transaction of its own: one that notifies holds up all others of the server that do, until it has ended,
    // and this one may wait for a disk and for standbys.
    if (channel !== undefined) connection.command(`NOTIFY "${channel}"`).catch(() => undefined);
    const answers = await answering;
    // A transaction that failed answers a COMMIT as well.
    if (answers.at(-1) !== 'COMMIT') throw new Error('the database did not commit');
    if (work.isSync) observer?.synced(clock.monotonic() - startMs);
  }

  #publish(clock: ClockRow): void {
    this.#parts.state.apply(clock);
  }

  /** Leaves no transaction open; false: the connection failed at it, and is not used again. */
  async #leave(isLost: boolean): Promise<boolean> {
    const connection = this.#connection;
    if (connection === undefined) return false;
    const isClean =
      !isLost &&
      (await connection.command('ROLLBACK').then(
        () => true,
        () => false,
      ));
    if (isClean && connection.isUsable) return true;
    this.#connection = undefined;
    await connection.close();
    return false;
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
