import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { every } from '../../platform/timers.ts';
import type { LogHead, StorageEngine } from '../../storage/engine.ts';
import type { Sequence } from '../../storage/types.ts';
import type { CredentialLapse } from '../access/credentials.ts';
import type { Principal } from '../access/principal.ts';
import { createFeed, type Feed, type HeldChars } from './feed.ts';
import { createInterest } from './interest.ts';
import type { WatchEndReason, WatchEvent, WatchRequest, WatchStart } from './model.ts';
import { openResumeToken } from './resume-token.ts';
import { createWatcher, type WatchActivity, type Watcher, type WatchTimes } from './watcher.ts';

/** Who watches, and until when. */
export interface WatchContext {
  readonly principal: Principal;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
  /** Cuts the caller's connection, for one that does not read. */
  readonly disconnect: () => void;
}

/** How watches do, and how they ended. */
export interface WatchFigures {
  /** Those that run, by what they do. */
  readonly running: Readonly<Record<WatchActivity, number>>;
  /** Since the start; `abandoned`: the caller went. */
  readonly ended: Readonly<Record<WatchEndReason | 'abandoned' | 'failed', number>>;
  readonly heldChars: HeldChars;
  /** Entries that were read for watches and are not told yet, of all together. */
  readonly pendingEntries: number;
}

/** All watches of a server. */
export interface Watches extends AsyncDisposable {
  /**
   * The events of one watch. Before the first: SCOPE_MISSING, ARGUMENT_INVALID, FILTER_INVALID or
   * KEY_INVALID for what is asked; SEQUENCE_COMPACTED or SEQUENCE_IN_FUTURE for where it starts;
   * QUOTA_EXCEEDED when too many watch. After it, an `end` event tells why, and an error follows it.
   */
  open(context: WatchContext, request: WatchRequest): AsyncIterable<WatchEvent>;
  /** Watches that run. */
  readonly count: number;
  figures(): WatchFigures;
  /** Ends every watch with `shuttingDown`, and refuses new ones. */
  stop(): void;
}

/** What watches are made of. */
export interface WatchesParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly lapseOf: (principal: Principal) => CredentialLapse | undefined;
  readonly times?: Partial<WatchTimes>;
  /** Watches at once, in all and of one subject. */
  readonly watchesMax?: number;
  readonly watchesPerSubjectMax?: number;
}

/** The times of a server that was told nothing else. */
export const WATCH_TIMES: WatchTimes = { bookmarkMs: 10_000, stallMs: 30_000, graceMs: 5000 };
const WATCHES_MAX = 10_000;
const WATCHES_PER_SUBJECT_MAX = 2000;
const TICK_MS = 250;

/** Opens watching on a store. */
export async function createWatches(parts: WatchesParts): Promise<Watches> {
  const { epoch } = await parts.engine.head();
  return new FeedWatches(parts, epoch);
}

class FeedWatches implements Watches {
  readonly #parts: WatchesParts;
  readonly #epoch: string;
  readonly #feed: Feed;
  readonly #running = new Map<Watcher, string>();
  readonly #stopTicking: () => void;
  readonly #unpin: () => void;
  readonly #ended: Record<keyof WatchFigures['ended'], number> = {
    ...{ revoked: 0, expired: 0, tooSlow: 0, compacted: 0, collectionDropped: 0 },
    ...{ shuttingDown: 0, outOfStep: 0, abandoned: 0, failed: 0 },
  };
  #isStopped = false;

  constructor(parts: WatchesParts, epoch: string) {
    this.#parts = parts;
    this.#epoch = epoch;
    this.#feed = createFeed(parts.engine, epoch);
    this.#unpin = parts.engine.pin(() => this.#lowest());
    this.#stopTicking = every(TICK_MS, () => {
      for (const watcher of this.#running.keys()) watcher.tick();
    });
  }

  get count(): number {
    return this.#running.size;
  }

  figures(): WatchFigures {
    const running = { initial: 0, waiting: 0, telling: 0 };
    let pendingEntries = 0;
    for (const watcher of this.#running.keys()) {
      running[watcher.activity] += 1;
      pendingEntries += watcher.pendingEntries;
    }
    const { heldChars } = this.#feed;
    return { running, ended: { ...this.#ended }, heldChars, pendingEntries };
  }

  async *open(context: WatchContext, request: WatchRequest): AsyncIterable<WatchEvent> {
    const { principal, signal } = context;
    const { engine, clock, times, lapseOf } = this.#parts;
    const interest = createInterest(principal, request);
    const start = await this.#startOf(request.start);
    this.#admit(principal);
    const { collections, needsPrevious } = interest;
    const follower = this.#feed.follow({ collections, needsPrevious, subject: principal.subject });
    const watcher = createWatcher({
      ...{ engine, clock, epoch: this.#epoch, interest, follower, start },
      times: { ...WATCH_TIMES, ...times },
      fragment: request.fragment,
      published: () => this.#feed.published,
      lapse: () => lapseOf(principal) ?? (interest.isBlinded() ? 'revoked' : undefined),
      disconnect: context.disconnect,
      onClose: (reason) => {
        this.#ended[reason] += 1;
        follower.close();
        this.#running.delete(watcher);
        signal.removeEventListener('abort', abandon);
      },
    });
    const abandon = (): void => {
      watcher.abandon();
    };
    this.#running.set(watcher, principal.subject);
    if (signal.aborted) abandon();
    else signal.addEventListener('abort', abandon, { once: true });
    yield* watcher.events();
  }

  stop(): void {
    this.#isStopped = true;
    for (const watcher of this.#running.keys()) watcher.end('shuttingDown');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    this.#stopTicking();
    this.#unpin();
    await this.#feed[Symbol.asyncDispose]();
  }

  /** What the slowest watch still needs of the log. */
  #lowest(): Sequence | undefined {
    let lowest: Sequence | undefined;
    for (const { needsAfter } of this.#running.keys()) {
      if (lowest === undefined || needsAfter < lowest) lowest = needsAfter;
    }
    return lowest;
  }

  async #startOf(
    start: WatchStart,
  ): Promise<{ readonly position: Sequence; readonly withInitialState: boolean }> {
    const { engine } = this.#parts;
    const head = await engine.head();
    if (start.kind === 'initial' || start.kind === 'now') {
      // Only what cannot be taken back is shown, and begun at, here as later.
      const isDurable = head.durableSequence >= head.sequence;
      const position = isDurable ? head.sequence : await engine.flush();
      return { position, withInitialState: start.kind === 'initial' };
    }
    const { epoch, sequence } =
      start.kind === 'resume'
        ? openResumeToken(start.token)
        : { epoch: this.#epoch, sequence: start.sequence };
    if (epoch !== this.#epoch) throw otherTimeline(epoch, head);
    const hasCome = sequence <= head.sequence;
    const newest =
      hasCome && sequence > head.durableSequence ? await engine.flush() : head.sequence;
    if (sequence > newest) throw inFuture(sequence, newest);
    if (sequence < head.oldest) throw compacted(sequence, head.oldest);
    return { position: sequence, withInitialState: false };
  }

  #admit({ subject }: Principal): void {
    if (this.#isStopped) {
      throw new DomainError('SHUTTING_DOWN', 'the server is going away; connect again');
    }
    const { watchesMax = WATCHES_MAX, watchesPerSubjectMax = WATCHES_PER_SUBJECT_MAX } =
      this.#parts;
    if (this.#running.size >= watchesMax) throw tooMany('this server', watchesMax);
    let own = 0;
    for (const other of this.#running.values()) own += other === subject ? 1 : 0;
    if (own >= watchesPerSubjectMax) throw tooMany(`'${subject}'`, watchesPerSubjectMax);
  }
}

function tooMany(holder: string, limit: number): DomainError {
  return new DomainError(
    'QUOTA_EXCEEDED',
    `${holder} has ${limit.toString()} watches already; end some, or watch several targets in one`,
    { metadata: { limit: limit.toString() } },
  );
}

function otherTimeline(epoch: string, { epoch: currentEpoch, oldest }: LogHead): DomainError {
  return new DomainError(
    'SEQUENCE_COMPACTED',
    `the resume token belongs to another timeline of the log (${epoch}) than this one (${currentEpoch}), as after a restore; watch again with the initial state`,
    { metadata: { epoch, currentEpoch, oldest: oldest.toString() } },
  );
}

function inFuture(asked: Sequence, newest: Sequence): DomainError {
  return new DomainError(
    'SEQUENCE_IN_FUTURE',
    `sequence ${asked.toString()} is not committed yet; the newest is ${newest.toString()}`,
    { metadata: { sequence: asked.toString(), newest: newest.toString() } },
  );
}

function compacted(asked: Sequence, oldest: Sequence): DomainError {
  return new DomainError(
    'SEQUENCE_COMPACTED',
    `sequence ${asked.toString()} is no longer in the log, which reaches back to ${oldest.toString()}; watch again with the initial state`,
    { metadata: { sequence: asked.toString(), oldest: oldest.toString() } },
  );
}
