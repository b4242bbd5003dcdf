/**
 * Moves a store from one engine to another. What is there is copied while the source may go on serving; what
 * it writes meanwhile follows by its log; and when nobody writes any more, the rest, settings and access
 * come along, both sides are read back and compared, and only an equal copy is given free.
 */
import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { systemClock } from '../../platform/clock.ts';
import { delay } from '../../platform/timers.ts';
import { ENTRY_KIND } from '../commit/rows.ts';
import {
  assertWanted,
  copyTable,
  type Row,
  type StateReader,
  type StoreEnd,
  type StoreTarget,
} from './rows.ts';
import { hashState, RowsHash, type StateHash } from './state-hash.ts';

/** A store to be moved. */
export interface MigrationSource extends AsyncDisposable {
  /** Reads the newest committed state, as long as the work takes. */
  read<T>(work: (state: StateReader) => Promise<T>): Promise<T>;
  /** Sees to it that nobody writes until this is disposed. In words who does, when that cannot be. */
  hold(): Promise<string | undefined>;
}

/** A place that is empty, and that no server opens before it is given free. */
export interface MigrationTarget extends StoreTarget {
  /** Removes what belongs to no collection, and counts the bytes of bodies that only the past needs. */
  tidy(): Promise<number>;
  /** Fails when another process has begun anew here. */
  assertMine(): Promise<void>;
  /** Everything is there. */
  finish(end: StoreEnd): Promise<void>;
  /** Reads back what is there. */
  read<T>(work: (state: StateReader) => Promise<T>): Promise<T>;
  /** Lets servers open it. */
  release(): Promise<void>;
}

/** How far a move is. */
export interface MigrationProgress {
  readonly phase: 'copying' | 'following' | 'verifying';
  /** Entries of the log that are copied. */
  readonly entries: number;
  /** The last one of them. */
  readonly sequence: number;
}

/** What is moved. */
export interface MigrationRequest {
  readonly source: MigrationSource;
  readonly target: MigrationTarget;
  /** Goes along with a source that is in use, until it is not. */
  readonly follow: boolean;
  readonly onProgress: (progress: MigrationProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A store that was moved, and is equal. */
export interface MigrationReport extends StateHash {
  readonly timestampMs: number;
  /** The new timeline: positions of the old one do not fit it. */
  readonly epoch: string;
  /** How long nobody could write, in milliseconds; undefined when the source was never in use. */
  readonly cutMs: number | undefined;
}

const FOLLOW_MS = 250;

/**
 * Moves a store. ENGINE_UNAVAILABLE when the source is in use and not to be followed, SEQUENCE_COMPACTED
 * when it forgot history faster than it could be followed, CORRUPTION_DETECTED when both are not equal.
 */
export async function migrateStore(request: MigrationRequest): Promise<MigrationReport> {
  const { source, target, follow } = request;
  const user = await source.hold();
  if (user !== undefined && !follow) throw inUse(user);
  const mover = new Mover(request);
  await mover.copy();
  if (user !== undefined) await mover.follow();
  const startMs = systemClock.monotonic();
  const report = await mover.finish(user !== undefined);
  await target.release();
  return { ...report, cutMs: user === undefined ? undefined : systemClock.monotonic() - startMs };
}

/**
 * What is done to the target alone (read back, tidied, finished) takes as long as the store is large. It begins when
 * the read of the source has ended: a database ends a transaction that waits for long, and frees no space while one
 * stands.
 */
class Mover {
  readonly #request: MigrationRequest;
  /** The log as it was read, and as it is read back. */
  readonly #given = new RowsHash('ver');
  readonly #kept = new RowsHash('ver');
  #first: StoreEnd | undefined;
  #sequence = 0;

  constructor(request: MigrationRequest) {
    this.#request = request;
  }

  async copy(): Promise<void> {
    const { source, target } = this.#request;
    const given = await source.read((from) => this.#copyAll(from));
    const kept = new RowsHash('head');
    await target.read((state) => kept.addFrom(state));
    if (given.sha256() !== kept.sha256()) throw notEqual('where the newest documents are');
    await this.#checkLog();
  }

  /** Until nobody writes any more. */
  async follow(): Promise<void> {
    const { source, target, signal } = this.#request;
    do {
      await source.read((from) => this.#catchUp(from));
      await this.#checkLog();
      await target.assertMine();
      this.#note('following');
      await delay(FOLLOW_MS, signal);
      assertWanted(signal);
    } while ((await source.hold()) !== undefined);
  }

  async finish(isMoved: boolean): Promise<Omit<MigrationReport, 'cutMs'>> {
    const { source, target: to } = this.#request;
    const from = await source.read((state) => this.#copyRest(state));
    await this.#checkLog();
    // What was removed from the source since it was copied is removed here by whoever opens it.
    const prunedTo = this.#first?.prunedTo ?? 0;
    const historyBytes = isMoved ? await to.tidy() : from.historyBytes;
    const end = { ...from, epoch: randomUUID(), prunedTo, historyBytes };
    await to.finish(end);
    this.#note('verifying');
    // Nobody writes to the source: it is as it was when it was copied.
    const [before, after] = await Promise.all([
      source.read((state) => hashState(state, this.#given)),
      to.read((state) => hashState(state, this.#kept)),
    ]);
    assertEqual(before, after);
    return { ...after, timestampMs: end.timestampMs, epoch: end.epoch };
  }

  /** Log and heads; the hash of the heads as they were read. */
  async #copyAll(from: StateReader): Promise<RowsHash> {
    const { target: to, signal } = this.#request;
    this.#first = from.end;
    await copyTable({ from, to }, 'ver', {
      signal,
      onRows: (rows) => {
        this.#given.add(rows);
        this.#note('copying');
      },
    });
    const heads = new RowsHash('head');
    await copyTable({ from, to }, 'head', {
      signal,
      onRows: (rows) => {
        heads.add(rows);
      },
    });
    this.#sequence = from.end.sequence;
    return heads;
  }

  async #catchUp(from: StateReader): Promise<void> {
    const { target: to, signal } = this.#request;
    const { epoch, floor } = from.end;
    if (epoch !== this.#first?.epoch) throw replaced();
    if (floor > this.#sequence) throw forgotten(this.#sequence, floor);
    await copyTable({ from, to }, 'ver', {
      ...{ after: [this.#sequence], signal },
      onRows: async (rows) => {
        await to.insert('head', headsOf(rows));
        this.#given.add(rows);
        this.#note('following');
      },
    });
    this.#sequence = from.end.sequence;
  }

  /** What was written since, and what is no part of the log. */
  async #copyRest(from: StateReader): Promise<StoreEnd> {
    const { target: to, signal } = this.#request;
    await this.#catchUp(from);
    for (const name of ['collection', 'idx', 'request'] as const) {
      await copyTable({ from, to }, name, { signal });
    }
    return from.end;
  }

  /** Reads back what was not read back yet. */
  async #checkLog(): Promise<void> {
    await this.#request.target.read((state) => this.#kept.addFrom(state));
    if (this.#given.sha256() !== this.#kept.sha256()) throw notEqual('the log');
  }

  #note(phase: MigrationProgress['phase']): void {
    const { rows: entries, last } = this.#given;
    this.#request.onProgress({ phase, entries, sequence: Number(last?.[0] ?? 0) });
  }
}

/** Where the newest rows of the keys in a stretch of the log are. */
function headsOf(entries: readonly Row[]): readonly Row[] {
  const heads = new Map<string, Row>();
  for (const entry of entries) {
    const [sequence = 0, , , kind, collection = 0, key = ''] = entry;
    const [, , , , , , , , created = 0, , expiresAt = null] = entry;
    if (kind !== ENTRY_KIND.put && kind !== ENTRY_KIND.delete) continue;
    const [live, expiry] = kind === ENTRY_KIND.put ? [1, expiresAt] : [0, null];
    const row: Row = [collection, key, sequence, live, created, expiry];
    heads.set(`${String(collection)} ${String(key)}`, row);
  }
  return [...heads.values()];
}

function assertEqual(before: StateHash, after: StateHash): void {
  if (before.sha256 === after.sha256) return;
  const other = before.collections.find(
    ({ sha256 }, at) => sha256 !== after.collections[at]?.sha256,
  );
  throw notEqual(other === undefined ? 'settings or access' : `collection '${other.name}'`);
}

function notEqual(what: string): DomainError {
  return new DomainError(
    'CORRUPTION_DETECTED',
    `what was written is not equal to what it was copied from: ${what}; nothing was given free`,
  );
}

function inUse(user: string): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `what is to be moved is in use: ${user}; stop that first, or follow it until it stops`,
  );
}

function replaced(): DomainError {
  return new DomainError(
    'SEQUENCE_COMPACTED',
    'what is to be moved was replaced by another timeline meanwhile; begin again',
  );
}

function forgotten(sequence: number, floor: number): DomainError {
  return new DomainError(
    'SEQUENCE_COMPACTED',
    `the log was shortened to sequence ${String(floor)} before what follows ${String(sequence)} was copied; begin again, with a longer --retain-history`,
    { metadata: { sequence: String(sequence), oldest: String(floor) } },
  );
}
