import type { Worker } from 'node:worker_threads';

import { DomainError } from '../../errors/domain-error.ts';
import { systemClock } from '../../platform/clock.ts';
import type { ReadMessage, ReadReply, ReadResults, ReadTask, StoreAccess } from './protocol.ts';
import type { ReaderSettings } from './reader-worker.ts';
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
  readonly message: ReadMessage;
  readonly sinceMs: number;
  readonly settle: (reply: ReadReply) => void;
  readonly reject: (error: DomainError) => void;
}

interface Member {
  readonly worker: Worker;
  readonly aborted: Int32Array;
  job: Job | undefined;
}

/** Reads that may wait for a thread; more are refused. */
const WAITING_MAX = 1000;
const RETRY_AFTER_MS = 200;
const TASK_ID_MAX = 2 ** 31 - 1;

/** How large a pool is, and how long one may wait for it. */
export interface PoolBounds {
  readonly threads: number;
  /** No more reads are taken while one has waited this long for a thread, in milliseconds; 0: no bound. */
  readonly waitMaxMs: number;
}

/** Creates a pool. Its threads are started when needed. */
export function createReaderPool(access: StoreAccess, bounds: PoolBounds): ReaderPool {
  return new ThreadPool(access, bounds);
}

class ThreadPool implements ReaderPool {
  readonly #access: StoreAccess;
  readonly #bounds: PoolBounds;
  readonly #members = new Set<Member>();
  readonly #waiting: Job[] = [];
  #lastId = 0;
  #isClosed = false;

  constructor(access: StoreAccess, bounds: PoolBounds) {
    this.#access = access;
    this.#bounds = bounds;
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
    const message: ReadMessage = { id: this.#lastId, nowMs, atSequence, task };
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
    const busy = [...this.#members].filter(({ job }) => job !== undefined).length;
    return { waiting: this.#waiting.length, busy };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const job of this.#waiting.splice(0)) job.reject(gone());
    await Promise.all([...this.#members].map(({ worker }) => worker.terminate()));
  }

  #refusal(): DomainError | undefined {
    const [first] = this.#waiting;
    if (this.#waiting.length >= WAITING_MAX) return tooMany();
    const { waitMaxMs } = this.#bounds;
    if (first === undefined || waitMaxMs === 0) return undefined;
    return systemClock.monotonic() - first.sinceMs > waitMaxMs ? tooLong(waitMaxMs) : undefined;
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      const idle = [...this.#members].find(({ job }) => job === undefined);
      const member =
        idle ?? (this.#members.size < this.#bounds.threads ? this.#start() : undefined);
      if (member === undefined) return;
      const job = this.#waiting.shift();
      if (job === undefined) return;
      member.job = job;
      // A pending read keeps the process alive, an idle thread does not.
      member.worker.ref();
      member.worker.postMessage(job.message);
    }
  }

  #start(): Member {
    const aborted = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const settings: ReaderSettings = { ...this.#access, aborted };
    const worker = startWorker('reader-worker', settings);
    const member: Member = { worker, aborted: new Int32Array(aborted), job: undefined };
    worker.unref();
    worker.on('message', (reply: ReadReply) => {
      const { job } = member;
      member.job = undefined;
      worker.unref();
      job?.settle(reply);
      this.#next();
    });
    const lose = (): void => {
      this.#members.delete(member);
      member.job?.reject(gone());
      member.job = undefined;
      if (!this.#isClosed) this.#next();
    };
    worker.on('error', lose);
    worker.on('exit', lose);
    this.#members.add(member);
    return member;
  }

  /** Takes back a job that waits, or tells the thread that does it to stop. */
  #stop(job: Job): void {
    const at = this.#waiting.indexOf(job);
    if (at !== -1) {
      this.#waiting.splice(at, 1);
      job.reject(canceled());
      return;
    }
    const member = [...this.#members].find((one) => one.job === job);
    if (member !== undefined) Atomics.store(member.aborted, 0, job.message.id);
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
