import { DomainError } from '../../errors/domain-error.ts';
import { systemClock } from '../../platform/clock.ts';
import { after, soon } from '../../platform/timers.ts';
import type { ReadMessage, ReadReply, ReadResults, ReadTask, StoreAccess } from './protocol.ts';
import { createClaims, openClaims, type Claims } from './read-claims.ts';
import {
  HELD_UP_MS,
  startReaderThread,
  type ReaderThread,
  type StartReader,
} from './reader-thread.ts';
import { toError } from '../commit/operations.ts';
import { startWorker } from './worker.ts';

/** How a read is done. */
export interface PoolOptions {
  readonly nowMs: number;
  readonly atSequence?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reader threads, started when first needed. */
export interface ReaderPool {
  /** CANCELED when the signal aborts, OVERLOADED when too many reads wait, or the first of them too long. */
  run<K extends ReadTask['kind']>(
    task: Extract<ReadTask, { kind: K }>,
    options: PoolOptions,
  ): Promise<ReadResults[K]>;
  load(): { readonly waiting: number; readonly busy: number };
  close(): Promise<void>;
}

interface Job {
  readonly message: Omit<ReadMessage, 'slot'>;
  readonly sinceMs: number;
  readonly settle: (reply: ReadReply) => void;
  readonly reject: (error: DomainError) => void;
}

/** A job that threads know of. */
interface OfferedJob extends Job {
  readonly message: ReadMessage;
  /** The thread that had nothing to do; undefined: it is for the first that has time. */
  readonly member: ReaderThread | undefined;
  /** The threads that know of it. */
  readonly told: Set<ReaderThread>;
}

/**
 * Jobs that threads are told of while they are busy, and messages that one of them may have before it. A
 * thread that had to wait for the main loop after each job would do one in a turn of it, however short the
 * job and however long the turn.
 */
const OFFERED_AHEAD = 512;
/** Reads that may wait for a thread; more are refused. */
const WAITING_MAX = 1000;
const RETRY_AFTER_MS = 200;
const TASK_ID_MAX = 2 ** 31 - 1;

/** How large a pool is, and how long one may wait for it. */
export interface PoolBounds {
  readonly threads: number;
  /**
   * How many of them work at once, unless one is held up by a long read: no more than there are cores. Two that share a core
   * take turns, and each has caches of its own to fill.
   */
  readonly atOnce: number;
  /** No more reads are taken while one has waited this long for a thread, in milliseconds; 0: no bound. */
  readonly waitMaxMs: number;
}

/** Creates a pool. Its threads are started when needed. */
export function createReaderPool(
  access: StoreAccess,
  bounds: PoolBounds,
  start: StartReader = (settings) => startWorker('reader-worker', settings),
): ReaderPool {
  return new ThreadPool(access, bounds, start);
}

class ThreadPool implements ReaderPool {
  readonly #access: StoreAccess;
  readonly #bounds: PoolBounds;
  readonly #startReader: StartReader;
  readonly #members = new Set<ReaderThread>();
  readonly #waiting: Job[] = [];
  /**
   * In the order in which they were offered, in which most of them end. A Map would keep answers until a full collection, as
   * `platform/roster.ts` tells.
   */
  readonly #offered: OfferedJob[] = [];
  readonly #shared: SharedArrayBuffer;
  readonly #claims: Claims;
  readonly #freeSlots: number[];
  #lastId = 0;
  #lastThread = 0;
  #isClosed = false;
  #isSending = false;
  #isLooking = false;

  constructor(access: StoreAccess, bounds: PoolBounds, start: StartReader) {
    this.#access = access;
    this.#bounds = bounds;
    this.#startReader = start;
    const slots = bounds.threads + OFFERED_AHEAD;
    this.#shared = createClaims(slots);
    this.#claims = openClaims(this.#shared);
    this.#freeSlots = Array.from({ length: slots }, (_, slot) => slot);
  }

  run<K extends ReadTask['kind']>(
    task: Extract<ReadTask, { kind: K }>,
    { nowMs, atSequence, signal }: PoolOptions,
  ): Promise<ReadResults[K]> {
    if (this.#isClosed) return Promise.reject(gone());
    if (signal?.aborted === true) return Promise.reject(canceled());
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#lastId = (this.#lastId % TASK_ID_MAX) + 1;
    const message = { id: this.#lastId, nowMs, atSequence, task };
    return new Promise<ReadResults[K]>((resolve, reject) => {
      const onAbort = (): void => {
        this.#stop(job);
      };
      const job: Job = {
        message,
        sinceMs: systemClock.monotonic(),
        settle: ({ result, refusal }) => {
          signal?.removeEventListener('abort', onAbort);
          if (refusal !== undefined) reject(toError(refusal));
          // The thread answers a task of one kind with the result of that kind.
          else resolve(result as ReadResults[K]);
        },
        reject: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(job);
      this.#next();
    });
  }

  load(): { readonly waiting: number; readonly busy: number } {
    const waiting = this.#offered.filter((job) => this.#isWaiting(job)).length;
    // What is done and not heard of yet is of threads that do the next one.
    const busy = Math.min(this.#members.size, this.#offered.length - waiting);
    return { waiting: this.#waiting.length + waiting, busy };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const job of this.#waiting.splice(0)) job.reject(gone());
    for (const job of [...this.#offered]) {
      this.#claims.withdraw(job.message);
      this.#take(job.message.id)?.reject(gone());
    }
    await Promise.all([...this.#members].map(({ worker }) => worker.terminate()));
  }

  #refusal(): DomainError | undefined {
    const { waitMaxMs } = this.#bounds;
    // All that are offered are more than those that wait.
    const mayBeFull = this.#offered.length + this.#waiting.length >= WAITING_MAX;
    if (mayBeFull && this.load().waiting >= WAITING_MAX) return tooMany();
    if (waitMaxMs === 0) return undefined;
    const first = this.#firstOffered() ?? this.#waiting[0];
    if (first === undefined) return undefined;
    return systemClock.monotonic() - first.sinceMs > waitMaxMs ? tooLong(waitMaxMs) : undefined;
  }

  /** The one that waits longest of those offered. They are taken in their order, so that it is near the beginning. */
  #firstOffered(): OfferedJob | undefined {
    return this.#offered.find((job) => this.#isWaiting(job));
  }

  /** No thread does it, or is about to. */
  #isWaiting({ member, message }: OfferedJob): boolean {
    return member === undefined && !this.#claims.isTaken(message);
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      const member = this.#idle() ?? this.#startIfFew();
      const slot = this.#freeSlots.pop();
      if (slot === undefined) return;
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#offer({ ...job, message: { ...job.message, slot }, member, told: new Set() });
    }
  }

  #offer(job: OfferedJob): void {
    const { member, message } = job;
    this.#offered.push(job);
    this.#claims.offer(message);
    if (member === undefined) this.#tellAll(job);
    else this.#tell(member, job);
    this.#lookLater();
  }

  /** Those that work now: as many as may at once, or all where others are held up and no more can be started. */
  #working(): readonly ReaderThread[] {
    const { threads, atOnce } = this.#bounds;
    const free = atOnce < threads ? this.#free().slice(0, atOnce) : [];
    return free.length === 0 ? [...this.#members] : free;
  }

  /** A new thread, where fewer work than may. */
  #startIfFew(): ReaderThread | undefined {
    const { threads, atOnce } = this.#bounds;
    if (this.#members.size >= threads || this.#free().length >= atOnce) return undefined;
    return this.#start();
  }

  /** Those that no long read holds up. */
  #free(): readonly ReaderThread[] {
    const nowMs = systemClock.monotonic();
    return [...this.#members].filter((member) => !member.isHeldUp(nowMs));
  }

  /** Finds out, as long as something waits, whether threads are held up, and has others do what they were told. */
  #lookLater(): void {
    const { threads, atOnce } = this.#bounds;
    if (this.#isLooking || atOnce >= threads) return;
    this.#isLooking = true;
    after(HELD_UP_MS, () => {
      this.#isLooking = false;
      if (this.#isClosed || this.#firstOffered() === undefined) return;
      this.#startIfFew();
      for (const member of this.#working()) this.#tellRest(member);
      this.#lookLater();
    });
  }

  /** Tells the threads that are not too far behind, at least one: a long read must not have messages heap up. */
  #tellAll(job: OfferedJob): void {
    const members = this.#working().toSorted((a, b) => a.behind - b.behind);
    members.forEach((member, at) => {
      if (at === 0 || member.behind < OFFERED_AHEAD) this.#tell(member, job);
      else member.missesSome = true;
    });
  }

  #tell(member: ReaderThread, { message, told }: OfferedJob): void {
    told.add(member);
    member.tell(message);
    if (this.#isSending) return;
    this.#isSending = true;
    soon(() => {
      this.#isSending = false;
      for (const one of this.#members) one.send();
    });
  }

  /** Tells a thread of what it does not know and nobody does. */
  #tellRest(member: ReaderThread): void {
    member.missesSome = false;
    for (const job of this.#offered) {
      if (this.#isWaiting(job) && !job.told.has(member)) this.#tell(member, job);
    }
  }

  /** A thread that does nothing and was told of nothing. */
  #idle(): ReaderThread | undefined {
    if (this.#firstOffered() !== undefined) return undefined;
    return this.#working().find(
      (member) =>
        member.behind === 0 &&
        this.#offered.every(
          (job) => job.member !== member && !this.#claims.isTakenBy(job.message, member.thread),
        ),
    );
  }

  /** Takes a job off the list; undefined when it is not there any more. */
  #take(id: number): OfferedJob | undefined {
    const at = this.#offered.findIndex(({ message }) => message.id === id);
    const [job] = at === -1 ? [] : this.#offered.splice(at, 1);
    if (job === undefined) return undefined;
    this.#freeSlots.push(job.message.slot);
    // Whoever is closed waits for the ends of threads.
    if (this.#offered.length > 0 || this.#isClosed) return job;
    for (const { worker } of this.#members) worker.unref();
    return job;
  }

  #start(): ReaderThread {
    this.#lastThread += 1;
    const member = startReaderThread(this.#startReader, {
      ...this.#access,
      claims: this.#shared,
      thread: this.#lastThread,
    });
    const { worker } = member;
    worker.on('message', (reply: ReadReply) => {
      this.#take(reply.id)?.settle(reply);
      if (member.missesSome) this.#tellRest(member);
      this.#next();
    });
    const lose = (): void => {
      this.#lose(member);
    };
    worker.on('error', lose);
    worker.on('exit', lose);
    this.#members.add(member);
    this.#tellRest(member);
    return member;
  }

  /**
   * What the thread did is lost with it; what it was only told of is for the others, or for a new one. Of
   * threads that end before they do anything, each takes one job with it, so that not all of them end so.
   */
  #lose(member: ReaderThread): void {
    if (!this.#members.delete(member)) return;
    const own = this.#offered.filter(
      (job) => job.member === member || this.#claims.isTakenBy(job.message, member.thread),
    );
    const lost = own.length === 0 && this.#members.size === 0 ? this.#offered.slice(0, 1) : own;
    for (const { message } of lost) this.#take(message.id)?.reject(gone());
    if (this.#isClosed) return;
    for (const one of this.#members) this.#tellRest(one);
    if (this.#members.size === 0 && this.#offered.length > 0) this.#start();
    this.#next();
  }

  /** Takes back a job that waits, or tells the thread that does it to stop. */
  #stop(job: Job): void {
    const at = this.#waiting.indexOf(job);
    if (at !== -1) {
      this.#waiting.splice(at, 1);
      job.reject(canceled());
      return;
    }
    const offered = this.#offered.find(({ message }) => message.id === job.message.id);
    if (offered === undefined || !this.#claims.withdraw(offered.message)) return;
    this.#take(offered.message.id)?.reject(canceled());
    this.#next();
  }
}

function canceled(): DomainError {
  return new DomainError('CANCELED', 'the read was canceled');
}

function gone(): DomainError {
  return new DomainError('ENGINE_UNAVAILABLE', 'the store is closed or its reader has stopped');
}

function tooMany(): DomainError {
  const limit = WAITING_MAX.toString();
  return new DomainError(
    'OVERLOADED',
    `more than ${limit} reads wait for a thread; try again later`,
    { metadata: { limit }, retryAfterMs: RETRY_AFTER_MS },
  );
}

function tooLong(limitMs: number): DomainError {
  const limit = limitMs.toString();
  return new DomainError(
    'OVERLOADED',
    `reads wait longer than ${limit} ms for a thread; try again later`,
    { metadata: { limit }, retryAfterMs: limitMs },
  );
}
