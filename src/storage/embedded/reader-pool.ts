import type { Worker } from 'node:worker_threads';

import { DomainError } from '../../errors/domain-error.ts';
import type { ReadMessage, ReadReply, ReadResults, ReadTask, StoreAccess } from './protocol.ts';
import type { ReaderSettings } from './reader-worker.ts';
import { toError } from './refusal.ts';
import { startWorker } from './worker.ts';

/** How a read is done. */
export interface PoolOptions {
  readonly nowMs: number;
  readonly atSequence?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Reader threads, started when first needed. */
export interface ReaderPool {
  /** CANCELED when the signal aborts, ENGINE_UNAVAILABLE when too many reads wait. */
  run<K extends ReadTask['kind']>(
    task: Extract<ReadTask, { kind: K }>,
    options: PoolOptions,
  ): Promise<ReadResults[K]>;
  close(): Promise<void>;
}

interface Job {
  readonly message: ReadMessage;
  readonly signal: AbortSignal | undefined;
  readonly settle: (reply: ReadReply) => void;
  readonly reject: (error: unknown) => void;
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

/** Creates a pool of up to `size` threads. */
export function createReaderPool(access: StoreAccess, size: number): ReaderPool {
  const members = new Set<Member>();
  const waiting: Job[] = [];
  let lastId = 0;
  let isClosed = false;

  function start(): Member {
    const aborted = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const settings: ReaderSettings = { ...access, aborted };
    const worker = startWorker('reader-worker', settings);
    const member: Member = { worker, aborted: new Int32Array(aborted), job: undefined };
    worker.unref();
    worker.on('message', (reply: ReadReply) => {
      const { job } = member;
      member.job = undefined;
      worker.unref();
      job?.settle(reply);
      next();
    });
    const lose = (): void => {
      members.delete(member);
      member.job?.reject(gone());
      member.job = undefined;
      if (!isClosed) next();
    };
    worker.on('error', lose);
    worker.on('exit', lose);
    members.add(member);
    return member;
  }

  function next(): void {
    while (waiting.length > 0) {
      const idle = [...members].find(({ job }) => job === undefined);
      const member = idle ?? (members.size < size ? start() : undefined);
      if (member === undefined) return;
      const job = waiting.shift();
      if (job === undefined) return;
      member.job = job;
      // A pending read keeps the process alive, an idle thread does not.
      member.worker.ref();
      member.worker.postMessage(job.message);
    }
  }

  function stop(job: Job): void {
    const at = waiting.indexOf(job);
    if (at !== -1) {
      waiting.splice(at, 1);
      job.reject(canceled());
      return;
    }
    const member = [...members].find((one) => one.job === job);
    if (member !== undefined) Atomics.store(member.aborted, 0, job.message.id);
  }

  function enqueue(job: Job): void {
    waiting.push(job);
    next();
  }

  return {
    run<K extends ReadTask['kind']>(
      task: Extract<ReadTask, { kind: K }>,
      { nowMs, atSequence, signal }: PoolOptions,
    ): Promise<ReadResults[K]> {
      if (isClosed) return Promise.reject(gone());
      if (signal?.aborted === true) return Promise.reject(canceled());
      if (waiting.length >= WAITING_MAX) return Promise.reject(busy());
      lastId = (lastId % TASK_ID_MAX) + 1;
      const message: ReadMessage = { id: lastId, nowMs, atSequence, task };
      return new Promise<ReadResults[K]>((resolve, reject) => {
        const onAbort = (): void => {
          stop(job);
        };
        const job: Job = {
          message,
          signal,
          settle: ({ result, refusal }) => {
            signal?.removeEventListener('abort', onAbort);
            if (refusal !== undefined) reject(toError(refusal));
            // The thread answers a task of one kind with the result of that kind.
            else resolve(result as ReadResults[K]);
          },
          reject: (error) => {
            signal?.removeEventListener('abort', onAbort);
            reject(error instanceof Error ? error : gone());
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        enqueue(job);
      });
    },
    async close() {
      isClosed = true;
      for (const job of waiting.splice(0)) job.reject(gone());
      await Promise.all([...members].map(({ worker }) => worker.terminate()));
    },
  };
}

function canceled(): DomainError {
  return new DomainError('CANCELED', 'the read was canceled');
}

function gone(): DomainError {
  return new DomainError('ENGINE_UNAVAILABLE', 'the store is closed or its reader has stopped');
}

function busy(): DomainError {
  const limit = WAITING_MAX.toString();
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `more than ${limit} reads wait for a thread; try again later`,
    { metadata: { limit }, retryAfterMs: RETRY_AFTER_MS },
  );
}
