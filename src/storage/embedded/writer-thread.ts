import type { Worker } from 'node:worker_threads';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { EngineObserver } from '../engine.ts';
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
  /** Queues a transaction; it commits together with others that wait. */
  commit(request: CommitRequest): Promise<CommitOutcome>;
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
  readonly observer?: EngineObserver | undefined;
  /** Called when the thread ended without being asked to. */
  readonly onFailure: () => void;
}

interface Waiting {
  readonly request: CommitRequest;
  readonly bytes: number;
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** What waits for the writer, at most; more is refused. */
const QUEUE_BYTES_MAX = 256 * 1024 * 1024;
/** One message to the writer carries at most about this much. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
const GROUP_OPERATIONS_MAX = 1000;
const OPERATION_BYTES = 256;
const RETRY_AFTER_MS = 200;

/** Starts the writer thread. */
export function startWriterThread(options: WriterThreadOptions): WriterThread {
  return new GroupingWriter(options);
}

class GroupingWriter implements WriterThread {
  readonly #options: WriterThreadOptions;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #pending = new Map<number, (reply: WriterReply | undefined) => void>();
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #pumping: Promise<void> | undefined;
  #isClosing = false;
  #isGone = false;
  #lastId = 0;
  #commits = 0;

  constructor(options: WriterThreadOptions) {
    this.#options = options;
    this.#worker = startWorker('writer-worker', options.settings);
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        resolve();
      });
    });
    this.#worker.on('message', (reply: WriterReply) => {
      for (const ms of reply.state.syncsMs) options.observer?.synced(ms);
      options.onState(reply.state);
      this.#pending.get(reply.id)?.(reply);
      this.#pending.delete(reply.id);
    });
    this.#worker.on('error', () => {
      this.#fail();
    });
    this.#worker.on('exit', () => {
      this.#fail();
    });
  }

  commit(request: CommitRequest): Promise<CommitOutcome> {
    const bytes = sizeOf(request);
    if (this.#isGone || this.#isClosing) return Promise.reject(gone());
    const isFull = this.#queuedBytes > 0 && this.#queuedBytes + bytes > QUEUE_BYTES_MAX;
    if (isFull) return Promise.reject(full());
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      this.#pumping ??= this.#pump();
    });
  }

  run(task: WriterTask): Promise<WriterResult> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) {
        reject(gone());
        return;
      }
      const id = ++this.#lastId;
      this.#pending.set(id, (reply) => {
        if (reply === undefined) reject(gone());
        else resolve(reply.result);
      });
      const message: WriterMessage = { id, nowMs: this.#options.clock.now(), task };
      this.#worker.postMessage(message);
    });
  }

  get commits(): number {
    return this.#commits;
  }

  queuedBytes(): number {
    return this.#queuedBytes;
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      await this.#pumping;
      if (!this.#isGone) await this.run({ kind: 'close' });
    }
    await this.#exited;
  }

  /** The next group forms while this one is committed; an idle writer waits for nobody. */
  async #pump(): Promise<void> {
    while (this.#queue.length > 0) await this.#commitGroup(this.#takeGroup());
    this.#pumping = undefined;
  }

  #takeGroup(): readonly Waiting[] {
    let operations = 0;
    let bytes = 0;
    let count = 0;
    for (const { request, bytes: size } of this.#queue) {
      const isFull = operations >= GROUP_OPERATIONS_MAX || bytes >= GROUP_BYTES_MAX;
      if (count > 0 && isFull) break;
      operations += request.operations.length;
      bytes += size;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const { clock } = this.#options;
    const startMs = clock.monotonic();
    try {
      const commits = group.map(({ request }) => request);
      const result = await this.run({ kind: 'commit', commits });
      const outcomes = result.kind === 'committed' ? result.outcomes : [];
      this.#count(outcomes, clock.monotonic() - startMs);
      group.forEach(({ resolve, reject }, at) => {
        const outcome = outcomes[at];
        if (outcome === undefined) reject(gone());
        else resolve(outcome);
      });
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  #count(outcomes: readonly CommitOutcome[], ms: number): void {
    const committed = outcomes.filter(({ kind }) => kind === 'committed').length;
    this.#commits += committed;
    if (committed > 0) this.#options.observer?.committed(committed, ms);
  }

  #fail(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (!this.#isClosing) this.#options.onFailure();
    for (const settle of this.#pending.values()) settle(undefined);
    this.#pending.clear();
    for (const { reject } of this.#queue.splice(0)) reject(gone());
    this.#queuedBytes = 0;
  }
}

function sizeOf(request: CommitRequest): number {
  let bytes = OPERATION_BYTES + (request.value?.length ?? 0);
  for (const operation of request.operations) {
    bytes += OPERATION_BYTES + (operation.kind === 'put' ? operation.body.length : 0);
  }
  return bytes;
}

function gone(): DomainError {
  return new DomainError('ENGINE_UNAVAILABLE', 'the store is closed or its writer has stopped');
}

function full(): DomainError {
  return new DomainError(
    'ENGINE_UNAVAILABLE',
    `more than ${QUEUE_BYTES_MAX.toString()} bytes wait to be written; try again later`,
    { metadata: { limit: QUEUE_BYTES_MAX.toString() }, retryAfterMs: RETRY_AFTER_MS },
  );
}
