import type { Worker } from 'node:worker_threads';

import type { Clock } from '../../platform/clock.ts';
import type { EngineObserver } from '../observer.ts';
import { createGroupQueue, writerGone, type GroupQueue } from '../commit/group-queue.ts';
import type { CommitOutcome, CommitRequest } from '../commit/operations.ts';
import type {
  WriterMessage,
  WriterReply,
  WriterResult,
  WriterState,
  WriterTask,
} from './protocol.ts';
import { startWorker } from './worker.ts';
import type { WriterSettings } from './writer-worker.ts';

/** The writer as the main thread sees it. */
export interface WriterThread {
  /**
   * Queues a transaction; it commits together with others that wait. CANCELED when the signal aborts
   * while it waits; OVERLOADED when too much waits, or the first of it too long.
   */
  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitOutcome>;
  run(task: WriterTask): Promise<WriterResult>;
  queuedBytes(): number;
  /** Transactions committed. */
  readonly commits: number;
  /** Ends the thread after everything queued is committed and flushed. */
  close(): Promise<void>;
}

/** How the main thread takes part. */
export interface WriterThreadOptions {
  readonly settings: WriterSettings;
  readonly clock: Clock;
  /** Called with every new state, before the promises of its commits resolve. */
  readonly onState: (state: WriterState) => void;
  /** How long a transaction may wait until no more are taken, in milliseconds; 0: no bound. */
  readonly waitMaxMs: number;
  readonly observer?: EngineObserver | undefined;
  /** Called when the thread ended without being asked to. */
  readonly onFailure: () => void;
}

/** Starts the writer thread. */
export function startWriterThread(options: WriterThreadOptions): WriterThread {
  return new GroupingWriter(options);
}

interface Pending {
  readonly id: number;
  /** Undefined: there will be no reply. */
  readonly settle: (reply: WriterReply | undefined) => void;
}

class GroupingWriter implements WriterThread {
  readonly #options: WriterThreadOptions;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  /** In the order in which they were sent, in which they are answered. */
  readonly #pending: Pending[] = [];
  readonly #queue: GroupQueue;
  #isClosing = false;
  #isGone = false;
  #lastId = 0;

  constructor(options: WriterThreadOptions) {
    this.#options = options;
    this.#queue = createGroupQueue({
      ...{ clock: options.clock, observer: options.observer, waitMaxMs: options.waitMaxMs },
      commitGroup: async (commits) => {
        const result = await this.run({ kind: 'commit', commits });
        return result.kind === 'committed' ? result.outcomes : [];
      },
    });
    this.#worker = startWorker('writer-worker', options.settings);
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        resolve();
      });
    });
    this.#worker.on('message', (reply: WriterReply) => {
      for (const ms of reply.state.syncsMs) options.observer?.synced(ms);
      options.onState(reply.state);
      // What is told without being asked for is of nobody.
      if (reply.id === this.#pending[0]?.id) this.#pending.shift()?.settle(reply);
    });
    this.#worker.on('error', () => {
      this.#fail();
    });
    this.#worker.on('exit', () => {
      this.#fail();
    });
  }

  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitOutcome> {
    return this.#queue.commit(request, signal);
  }

  run(task: WriterTask): Promise<WriterResult> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) {
        reject(writerGone());
        return;
      }
      const id = ++this.#lastId;
      const settle = (reply: WriterReply | undefined): void => {
        if (reply === undefined) reject(writerGone());
        else resolve(reply.result);
      };
      const message: WriterMessage = { id, nowMs: this.#options.clock.now(), task };
      this.#worker.postMessage(message);
      // Only what was sent is answered.
      this.#pending.push({ id, settle });
    });
  }

  get commits(): number {
    return this.#queue.commits;
  }

  queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      await this.#queue.drain();
      if (!this.#isGone) await this.run({ kind: 'close' });
    }
    await this.#exited;
  }

  #fail(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (!this.#isClosing) this.#options.onFailure();
    for (const { settle } of this.#pending.splice(0)) settle(undefined);
    this.#queue.fail();
  }
}
