import { DomainError, hasReason } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { LogEntry, Sequence } from '../../storage/types.ts';
import type { CredentialLapse } from '../access/credentials.ts';
import type { FeedPage, Follower } from './feed.ts';
import { readInitialState } from './initial-state.ts';
import type { Interest } from './interest.ts';
import type { WatchedChange, WatchEndReason, WatchEvent } from './model.ts';
import { sealResumeToken } from './resume-token.ts';

/** Bounds of a watch, in milliseconds. */
export interface WatchTimes {
  /** Without anything to tell, a bookmark comes this often. */
  readonly bookmarkMs: number;
  /** A caller that takes nothing for this long, though there is something, is too slow. */
  readonly stallMs: number;
  /** How long a caller that was ended may take to read why, before its connection is cut. */
  readonly graceMs: number;
}

/** What one watcher is made of. */
export interface WatcherParts {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly epoch: string;
  readonly times: WatchTimes;
  readonly interest: Interest;
  readonly follower: Follower;
  readonly start: { readonly position: Sequence; readonly withInitialState: boolean };
  readonly fragment: boolean;
  readonly published: () => Sequence;
  readonly lapse: () => CredentialLapse | undefined;
  /** Cuts the connection of a caller that does not read. */
  readonly disconnect: () => void;
  /** Once, with why it ended; `abandoned`: its caller went. */
  readonly onClose: (reason: WatchEndReason | 'abandoned' | 'failed') => void;
}

/** What a watch does: tells what is there, waits for changes, or tells them. */
export type WatchActivity = 'initial' | 'waiting' | 'telling';

/** One running watch. */
export interface Watcher {
  /** The log is needed after this sequence. */
  readonly needsAfter: Sequence;
  readonly activity: WatchActivity;
  /** Entries that were read for it and are not told yet. */
  readonly pendingEntries: number;
  /** The events, once. Ends by itself after a drop, with a DomainError for every other reason. */
  events(): AsyncGenerator<WatchEvent, void>;
  /** Looks at what only time changes: credentials, bookmarks, callers that do not read. */
  tick(): void;
  end(reason: WatchEndReason): void;
  /** The caller has gone. */
  abandon(): void;
}

/** Characters of bodies in one event of a commit, when fragments are asked for. */
export const FRAGMENT_CHARS: number = 1024 * 1024;

/** How long what was read is held for a caller that does not take it, in milliseconds. */
const HOLD_MS = 1000;

/** Creates a watcher; it does nothing until its events are asked for. */
export function createWatcher(parts: WatcherParts): Watcher {
  return new FollowingWatcher(parts);
}

interface HeldPage {
  /** Read and not told yet, the next one last. */
  readonly commits: (readonly LogEntry[])[];
  readonly upTo: Sequence;
  readonly release: () => void;
}

class FollowingWatcher implements Watcher {
  readonly #parts: WatcherParts;
  readonly #stopping = new AbortController();
  /** Named collections that were not dropped yet; undefined: all collections are watched. */
  readonly #remaining: Set<string> | undefined;
  #position: Sequence;
  #ended: WatchEndReason | 'abandoned' | undefined;
  /** Why it began to end: a deaf caller is cut off, and gone then. */
  #cause: WatchEndReason | 'abandoned' | undefined;
  #endedAtMs = 0;
  /** When the event was handed out that the caller has not come back from. */
  #handedAtMs: number | undefined;
  #toldAtMs: number;
  #oldest = '';
  #page: HeldPage | undefined;
  #isInitial: boolean;
  #hasFailed = false;

  constructor(parts: WatcherParts) {
    this.#parts = parts;
    this.#position = parts.start.position;
    this.#isInitial = parts.start.withInitialState;
    this.#toldAtMs = parts.clock.monotonic();
    const { collections } = parts.interest;
    this.#remaining = collections && new Set(collections);
  }

  get needsAfter(): Sequence {
    // One that waits has seen everything there is.
    const published = this.#parts.published();
    const hasSeenAll = this.#parts.follower.isWaiting && published > this.#position;
    return hasSeenAll ? published : this.#position;
  }

  get activity(): WatchActivity {
    if (this.#isInitial) return 'initial';
    return this.#parts.follower.isWaiting ? 'waiting' : 'telling';
  }

  get pendingEntries(): number {
    return this.#page?.commits.reduce((sum, { length }) => sum + length, 0) ?? 0;
  }

  async *events(): AsyncGenerator<WatchEvent, void> {
    try {
      yield* this.#all();
    } finally {
      this.#stopping.abort();
      this.#parts.onClose(this.#hasFailed ? 'failed' : (this.#cause ?? 'abandoned'));
    }
  }

  tick(): void {
    const nowMs = this.#parts.clock.monotonic();
    const { times, follower } = this.#parts;
    if (this.#ended !== undefined) {
      const isDeaf = this.#handedAtMs !== undefined && nowMs - this.#endedAtMs >= times.graceMs;
      if (isDeaf) this.#parts.disconnect();
      return;
    }
    const lapse = this.#parts.lapse();
    if (lapse !== undefined) this.end(lapse);
    else if (this.#handedAtMs !== undefined) this.#checkStall(nowMs - this.#handedAtMs);
    else if (this.#isBookmarkDue(nowMs)) follower.wake();
  }

  end(reason: WatchEndReason): void {
    this.#stop(reason);
  }

  abandon(): void {
    this.#stop('abandoned');
  }

  #isEnded(): boolean {
    return this.#ended !== undefined;
  }

  #stop(reason: WatchEndReason | 'abandoned'): void {
    if (this.#ended === 'abandoned' || (this.#ended !== undefined && reason !== 'abandoned'))
      return;
    this.#ended = reason;
    this.#cause ??= reason;
    this.#endedAtMs = this.#parts.clock.monotonic();
    this.#stopping.abort();
    this.#parts.follower.wake();
  }

  #checkStall(takenMs: number): void {
    // Nobody keeps for a caller what the log keeps anyway.
    if (takenMs >= HOLD_MS) this.#letGo();
    const isBehind = this.#parts.published() > this.#position;
    if (isBehind && takenMs >= this.#parts.times.stallMs) this.end('tooSlow');
  }

  #isBookmarkDue(nowMs: number): boolean {
    return nowMs - this.#toldAtMs >= this.#parts.times.bookmarkMs;
  }

  async *#all(): AsyncGenerator<WatchEvent, void> {
    try {
      const { withInitialState } = this.#parts.start;
      const point = { sequence: this.#position };
      yield* this.#tell({
        ...{ kind: 'started', ...point },
        resumeToken: withInitialState ? '' : this.#token(this.#position),
      });
      if (withInitialState) yield* this.#initialState();
      this.#isInitial = false;
      while (!this.#isEnded()) yield* this.#step();
    } catch (error) {
      if (!this.#isEnded()) this.#endBy(error);
    }
    const reason = this.#ended;
    if (reason === undefined || reason === 'abandoned') return;
    const [sequence, resumeToken] = [this.#position, this.#token(this.#position)];
    yield* this.#tell({ kind: 'end', reason, sequence, resumeToken });
    if (reason !== 'collectionDropped') throw endError(reason, resumeToken, this.#oldest);
  }

  /** A log that no longer reaches back is an end like the others; what is unexpected is not. */
  #endBy(error: unknown): void {
    if (!hasReason(error, 'SEQUENCE_COMPACTED')) {
      this.#hasFailed = true;
      throw error;
    }
    this.#oldest = error.metadata['oldest'] ?? '';
    this.end('compacted');
  }

  async *#initialState(): AsyncGenerator<WatchEvent, void> {
    const { engine, interest } = this.#parts;
    const options = { atSequence: this.#position, signal: this.#stopping.signal };
    for await (const page of readInitialState(engine, interest, options)) {
      if (this.#isEnded()) return;
      const documents = page.map((one) => interest.show(one));
      yield* this.#tell({
        ...{ kind: 'documents', documents, sequence: this.#position, resumeToken: '' },
      });
    }
    yield* this.#tell({ kind: 'current', ...this.#point() });
  }

  async *#step(): AsyncGenerator<WatchEvent, void> {
    // Held in fields alone, so that it can be let go while this waits for its caller.
    this.#hold(await this.#parts.follower.next(this.#position));
    try {
      for (let commit = this.#take(); commit !== undefined; commit = this.#take()) {
        yield* this.#commit(commit);
      }
      this.#finishPage();
    } finally {
      this.#letGo();
    }
    if (this.#isEnded() || !this.#isBookmarkDue(this.#parts.clock.monotonic())) return;
    yield* this.#tell({ kind: 'bookmark', ...this.#point() });
  }

  #hold({ entries, upTo, release }: FeedPage): void {
    this.#page = { commits: [...commitsOf(entries)].reverse(), upTo, release };
  }

  /** The next commit of the page; undefined when none is left, or nothing more may be told. */
  #take(): readonly LogEntry[] | undefined {
    return this.#isEnded() ? undefined : this.#page?.commits.pop();
  }

  /** Only a page that was told to its end counts as looked through. */
  #finishPage(): void {
    if (this.#page === undefined || this.#isEnded()) return;
    const { upTo } = this.#page;
    if (upTo > this.#position) this.#position = upTo;
  }

  /** Forgets what was read and not told; it is read again. */
  #letGo(): void {
    this.#page?.release();
    this.#page = undefined;
  }

  async *#commit(commit: readonly LogEntry[]): AsyncGenerator<WatchEvent, void> {
    const last = commit.at(-1);
    if (last === undefined) return;
    const changes = commit.flatMap((entry) => this.#parts.interest.judge(entry) ?? []);
    const before = this.#point();
    this.#position = last.sequence;
    if (changes.length === 0) return;
    const fragments = this.#parts.fragment ? fragmentsOf(changes) : [changes];
    const { timestampMs } = last;
    for (const [at, part] of fragments.entries()) {
      const hasMore = at < fragments.length - 1;
      // A commit is told when its last part is: whoever resumes earlier gets all of it again.
      const point = hasMore ? before : this.#point();
      yield* this.#tell({ kind: 'commit', timestampMs, changes: part, hasMore, ...point });
      if (this.#ended !== undefined) {
        if (hasMore) this.#position = before.sequence;
        return;
      }
    }
    this.#noteDrops(changes);
  }

  #noteDrops(changes: readonly WatchedChange[]): void {
    if (this.#remaining === undefined) return;
    const { collections } = this.#parts.interest;
    for (const { kind, collection } of changes) {
      if (kind === 'dropped') this.#remaining.delete(collection);
      // One that was made anew is followed like the others.
      else if (collections?.has(collection) === true) this.#remaining.add(collection);
    }
    if (this.#remaining.size === 0) this.end('collectionDropped');
  }

  *#tell(event: WatchEvent): Generator<WatchEvent, void> {
    const { clock } = this.#parts;
    this.#handedAtMs = clock.monotonic();
    yield event;
    this.#handedAtMs = undefined;
    this.#toldAtMs = clock.monotonic();
  }

  #point(): { readonly sequence: Sequence; readonly resumeToken: string } {
    return { sequence: this.#position, resumeToken: this.#token(this.#position) };
  }

  #token(sequence: Sequence): string {
    return sealResumeToken({ epoch: this.#parts.epoch, sequence });
  }
}

/** Entries of one commit stand together. */
function* commitsOf(entries: readonly LogEntry[]): Iterable<readonly LogEntry[]> {
  let start = 0;
  for (let at = 1; at <= entries.length; at++) {
    if (entries[at]?.commit === entries[start]?.commit) continue;
    yield entries.slice(start, at);
    start = at;
  }
}

function fragmentsOf(changes: readonly WatchedChange[]): readonly (readonly WatchedChange[])[] {
  const fragments: WatchedChange[][] = [];
  let chars = Infinity;
  for (const change of changes) {
    const size = (change.document?.body.length ?? 0) + (change.previous?.body.length ?? 0);
    if (chars + size > FRAGMENT_CHARS) {
      fragments.push([]);
      chars = 0;
    }
    fragments.at(-1)?.push(change);
    chars += size;
  }
  return fragments;
}

type EndError = readonly [reason: DomainError['reason'], message: string];

const END_ERRORS: Readonly<Record<Exclude<WatchEndReason, 'collectionDropped'>, EndError>> = {
  revoked: ['CREDENTIAL_REVOKED', 'the token was revoked; resume with another one'],
  expired: ['CREDENTIAL_EXPIRED', 'the token has expired; resume with a fresh one'],
  tooSlow: ['WATCHER_TOO_SLOW', 'events were not read for too long; resume and read faster'],
  compacted: [
    'SEQUENCE_COMPACTED',
    'the log no longer reaches back that far; watch again with the initial state',
  ],
  shuttingDown: ['SHUTTING_DOWN', 'the server is going away; resume on the next connection'],
  outOfStep: [
    'ENGINE_UNAVAILABLE',
    'this node does not know what others have revoked; resume on another connection',
  ],
};

function endError(
  reason: Exclude<WatchEndReason, 'collectionDropped'>,
  resumeToken: string,
  oldest: string,
): DomainError {
  const [code, message] = END_ERRORS[reason];
  const metadata = { resumeToken, ...(oldest === '' ? {} : { oldest }) };
  return new DomainError(code, message, { metadata });
}
