/**
 * The feed: reads the log once for all who follow it. Followers pull. One that has seen everything waits
 * and is handed what is new; one that lags reads from a bounded ring of recent entries, and behind that
 * from the log itself, off the path of writes, a bounded number of them at a time. Nothing is queued per
 * follower, so that a slow one costs no memory and never holds up a writer or another follower.
 *
 * Only what is on stable storage is published: nothing that was told is ever taken back.
 */
import { hasReason } from '../../errors/domain-error.ts';
import { delay } from '../../platform/timers.ts';
import type { LogReadOptions, StorageEngine } from '../../storage/engine.ts';
import type { LogEntry, Sequence } from '../../storage/types.ts';
import { createCatchUpSlots, type SlotRequest } from './catch-up-slots.ts';

/** Entries of whole commits, and how far the log was looked through. */
export interface FeedPage {
  readonly entries: readonly LogEntry[];
  readonly upTo: Sequence;
  /** Call once, when the entries are no longer held. */
  readonly release: () => void;
}

/** Reads the feed at its own pace. One call of `next` at a time. */
export interface Follower {
  /**
   * Entries after `after` that may be of interest; waits until there are some, or `wake` is called.
   * SEQUENCE_COMPACTED when the log no longer reaches back that far.
   */
  next(after: Sequence): Promise<FeedPage>;
  /** Lets a call of `next` that waits return without entries. */
  wake(): void;
  readonly isWaiting: boolean;
  close(): void;
}

/** What a follower wants to see. */
export interface FollowOptions {
  /** Undefined: entries of all collections. */
  readonly collections: ReadonlySet<string> | undefined;
  readonly needsPrevious: boolean;
  /** Whose memory it is that is held while it lags. */
  readonly subject: string;
}

/** Publishes the log. */
export interface Feed extends AsyncDisposable {
  /** The newest sequence that followers have been, or can be, told of. */
  readonly published: Sequence;
  /** Characters of bodies in memory for all followers, by where they are. */
  readonly heldChars: HeldChars;
  follow(options: FollowOptions): Follower;
}

/** What a feed keeps in memory, in characters of bodies. */
export interface HeldChars {
  /** Recent entries, once for all. At most 8 Mi, or one page of the log. */
  readonly ring: number;
  /** Read from the log for those that lag. At most 64 pages of 512 Ki, or of one commit. */
  readonly catchUp: number;
}

/** Entries and characters of bodies in the ring. */
const RING_ENTRIES_MAX = 4096;
const RING_CHARS_MAX = 8 * 1024 * 1024;
/** Entries read from the log at once. */
const SLICE_ENTRIES = 1000;
/** Read at once by one that lags: its caller may never take them. */
const CATCH_UP_ENTRIES = 200;
const CATCH_UP_CHARS = 512 * 1024;
const RETRY_MS = 100;

/** Creates the feed of a store. It reads nothing while nobody follows. */
export function createFeed(engine: StorageEngine, epoch: string): Feed {
  return new LogFeed(engine, epoch);
}

class LogFeed implements Feed {
  readonly #engine: StorageEngine;
  readonly #epoch: string;
  readonly #followers = new Set<LogFollower>();
  readonly #slots = createCatchUpSlots();
  readonly #unsubscribe: () => void;
  readonly #stopping = new AbortController();
  #ring: LogEntry[] = [];
  #ringChars = 0;
  #catchUpChars = 0;
  /** The entry before the first of the ring. */
  #ringStart: Sequence;
  #hasPrevious = false;
  #pumping: Promise<void> | undefined;
  published: Sequence;

  constructor(engine: StorageEngine, epoch: string) {
    this.#engine = engine;
    this.#epoch = epoch;
    this.published = engine.health().durableSequence;
    this.#ringStart = this.published;
    this.#unsubscribe = engine.onCommit(() => {
      this.#pump();
    });
  }

  get heldChars(): HeldChars {
    return { ring: this.#ringChars, catchUp: this.#catchUpChars };
  }

  follow(options: FollowOptions): Follower {
    // What was committed while nobody followed is read by those who ask for it, not by all.
    if (this.#followers.size === 0) this.#startRing(this.#engine.health().durableSequence);
    if (options.needsPrevious && !this.#hasPrevious) {
      this.#hasPrevious = true;
      this.#startRing(this.published);
    }
    const follower = new LogFollower(options, {
      published: () => this.published,
      acquire: () => this.#slots.acquire(options.subject),
      fromRing: (after) => this.#fromRing(after, options),
      fromLog: (after, release) => this.#fromLog(after, options, release),
      leave: () => {
        this.#leave(follower);
      },
    });
    this.#followers.add(follower);
    return follower;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#unsubscribe();
    for (const follower of this.#followers) follower.wake();
    await this.#pumping;
  }

  #leave(follower: LogFollower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    this.#hasPrevious = false;
    this.#startRing(this.published);
  }

  #startRing(start: Sequence): void {
    this.#ring = [];
    this.#ringChars = 0;
    this.#ringStart = start;
    this.published = start;
  }

  #pump(): void {
    if (this.#followers.size === 0) return;
    this.#pumping ??= this.#publishAll().finally(() => {
      this.#pumping = undefined;
      // A commit may have come between the last look and here.
      if (this.#isBehind() && !this.#stopping.signal.aborted) this.#pump();
    });
  }

  #isBehind(): boolean {
    return this.#followers.size > 0 && this.published < this.#engine.health().durableSequence;
  }

  async #publishAll(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#isBehind() && !signal.aborted) {
      const from = this.published;
      const withPrevious = this.#hasPrevious;
      try {
        const entries = await this.#read(from, { upTo: undefined, withPrevious });
        // Somebody came, or all went, while this was read.
        const isStale = this.published !== from || withPrevious !== this.#hasPrevious;
        if (!isStale) this.#publish(entries);
      } catch (error) {
        if (hasReason(error, 'SEQUENCE_COMPACTED')) this.#passGap();
        // Else the store is busy or closing; followers lose nothing by waiting.
        else await delay(RETRY_MS, signal);
      }
    }
  }

  /** What comes next is not in the log any more: followers look for themselves, and learn whether they need it. */
  #passGap(): void {
    for (const follower of this.#followers) follower.wake();
    this.#startRing(this.#engine.health().durableSequence);
  }

  #publish(entries: readonly LogEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    this.published = last.sequence;
    this.#keep(entries);
    const byCollection = Map.groupBy(entries, ({ collection }) => collection);
    for (const follower of this.#followers) {
      if (follower.isWaiting) follower.deliver(entries, byCollection);
    }
  }

  #keep(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#ring.push(entry);
      this.#ringChars += charsOf(entry);
    }
    let dropped = 0;
    for (const entry of this.#ring) {
      const isFull = this.#ring.length - dropped > RING_ENTRIES_MAX;
      if (!isFull && this.#ringChars <= RING_CHARS_MAX) break;
      this.#ringChars -= charsOf(entry);
      this.#ringStart = entry.sequence;
      dropped += 1;
    }
    this.#ring.splice(0, dropped);
  }

  /** What the ring has behind a sequence; undefined when it does not reach back that far. */
  #fromRing(after: Sequence, options: FollowOptions): FeedPage | undefined {
    const hasAll = after >= this.#ringStart && (this.#hasPrevious || !options.needsPrevious);
    if (!hasAll) return undefined;
    const found = this.#ring.slice(Number(after - this.#ringStart));
    return pageOf(found, { options, upTo: this.published, release: NOTHING });
  }

  async #fromLog(after: Sequence, options: FollowOptions, release: () => void): Promise<FeedPage> {
    const upTo = this.published;
    try {
      const { needsPrevious: withPrevious } = options;
      const bounds = { limit: CATCH_UP_ENTRIES, charsMax: CATCH_UP_CHARS };
      const found = await this.#read(after, { ...bounds, upTo, withPrevious });
      const chars = found.reduce((sum, entry) => sum + charsOf(entry), 0);
      this.#catchUpChars += chars;
      const letGo = (): void => {
        this.#catchUpChars -= chars;
        release();
      };
      return pageOf(found, { options, upTo, release: letGo });
    } catch (error) {
      release();
      throw error;
    }
  }

  #read(
    sequence: Sequence,
    options: Omit<LogReadOptions, 'signal' | 'limit'> & { readonly limit?: number },
  ): Promise<readonly LogEntry[]> {
    const { signal } = this.#stopping;
    const upTo = options.upTo ?? this.#engine.health().durableSequence;
    const position = { epoch: this.#epoch, sequence };
    return this.#engine.readLog(position, { limit: SLICE_ENTRIES, ...options, upTo, signal });
  }
}

const NOTHING = (): void => undefined;

function pageOf(
  found: readonly LogEntry[],
  {
    options: { collections },
    upTo,
    release,
  }: {
    readonly options: FollowOptions;
    readonly upTo: Sequence;
    readonly release: () => void;
  },
): FeedPage {
  const entries =
    collections === undefined ? found : found.filter((one) => collections.has(one.collection));
  return { entries, upTo: found.at(-1)?.sequence ?? upTo, release };
}

interface FollowerHost {
  readonly published: () => Sequence;
  readonly acquire: () => SlotRequest;
  readonly fromRing: (after: Sequence) => FeedPage | undefined;
  readonly fromLog: (after: Sequence, release: () => void) => Promise<FeedPage>;
  readonly leave: () => void;
}

class LogFollower implements Follower {
  readonly #options: FollowOptions;
  readonly #host: FollowerHost;
  /** The turn to read the log that it waits for. */
  #request: SlotRequest | undefined;
  #waiter: { readonly after: Sequence; readonly resolve: (page: FeedPage) => void } | undefined;

  constructor(options: FollowOptions, host: FollowerHost) {
    this.#options = options;
    this.#host = host;
  }

  get isWaiting(): boolean {
    return this.#waiter !== undefined;
  }

  next(after: Sequence): Promise<FeedPage> {
    if (after < this.#host.published()) return this.#behind(after);
    return new Promise((resolve) => {
      this.#waiter = { after, resolve };
    });
  }

  async #behind(after: Sequence): Promise<FeedPage> {
    const fromRing = this.#host.fromRing(after);
    if (fromRing !== undefined) return fromRing;
    this.#request = this.#host.acquire();
    const release = await this.#request.granted;
    this.#request = undefined;
    if (release === undefined) return { entries: [], upTo: after, release: NOTHING };
    return await this.#host.fromLog(after, release);
  }

  /** Hands over what is new; stays waiting when nothing of it is of interest. */
  deliver(
    entries: readonly LogEntry[],
    byCollection: ReadonlyMap<string, readonly LogEntry[]>,
  ): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    const wanted = this.#pick(entries, byCollection);
    // A watch may start after what is committed and not yet published.
    const fresh = wanted.filter(({ sequence }) => sequence > waiter.after);
    if (fresh.length > 0) this.#settle(fresh);
  }

  wake(): void {
    this.#request?.cancel();
    this.#settle([]);
  }

  close(): void {
    this.wake();
    this.#host.leave();
  }

  #settle(entries: readonly LogEntry[]): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    const published = this.#host.published();
    const upTo = waiter.after > published ? waiter.after : published;
    waiter.resolve({ entries, upTo, release: NOTHING });
  }

  #pick(
    entries: readonly LogEntry[],
    byCollection: ReadonlyMap<string, readonly LogEntry[]>,
  ): readonly LogEntry[] {
    const { collections } = this.#options;
    if (collections === undefined) return entries;
    const lists = [...collections].flatMap((name) => {
      const list = byCollection.get(name);
      return list === undefined ? [] : [list];
    });
    if (lists.length <= 1) return lists[0] ?? [];
    return entries.filter(({ collection }) => collections.has(collection));
  }
}

function charsOf({ body, previous }: LogEntry): number {
  return body.length + (previous?.body.length ?? 0);
}
