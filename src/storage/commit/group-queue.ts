import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { breathe } from '../../platform/timers.ts';
import type { EngineObserver } from '../observer.ts';
import type { CommitOutcome, CommitRequest } from './operations.ts';

/** Gathers transactions, so that many share one commit. */
export interface GroupQueue {
  /** Queues a transaction; it commits together with others that wait. */
  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitOutcome>;
  readonly queuedBytes: number;
  /** Transactions committed. */
  readonly commits: number;
  /** Refuses what waits and what comes. */
  fail(): void;
  /** Refuses what comes; resolves when everything queued has been answered. */
  drain(): Promise<void>;
}

/** Who commits a group, and who is told. */
export interface GroupQueueOptions {
  readonly clock: Clock;
  /** Commits a group; one outcome per request, in their order. */
  readonly commitGroup: (requests: readonly CommitRequest[]) => Promise<readonly CommitOutcome[]>;
  readonly observer?: EngineObserver | undefined;
  /** Longest wait of the first in the queue before others are refused, in milliseconds; 0: as long as the queue has room. */
  readonly waitMaxMs: number;
}

interface Waiting {
  readonly request: CommitRequest;
  readonly bytes: number;
  readonly sinceMs: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** What waits to be committed, at most; more is refused. */
const QUEUE_BYTES_MAX = 256 * 1024 * 1024;
/** One group has at most about this much. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
const GROUP_OPERATIONS_MAX = 1000;
/** So many are a commit of their own: a writer with a core of its own begins, while the main thread goes on. */
const WAITING_OPERATIONS_MAX = 16;
const OPERATION_BYTES = 256;
const RETRY_AFTER_MS = 200;

/** Creates an empty queue. */
export function createGroupQueue(options: GroupQueueOptions): GroupQueue {
  return new PumpedQueue(options);
}

class PumpedQueue implements GroupQueue {
  readonly #options: GroupQueueOptions;
  readonly #queue: Waiting[] = [];
  #pumping: Promise<void> | undefined;
  #isClosed = false;
  queuedBytes = 0;
  commits = 0;

  constructor(options: GroupQueueOptions) {
    this.#options = options;
  }

  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitOutcome> {
    const bytes = sizeOf(request);
    if (this.#isClosed) return Promise.reject(writerGone());
    const refusal = this.#refusal(bytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    const sinceMs = this.#options.clock.monotonic();
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, bytes, sinceMs, signal, resolve, reject });
      this.queuedBytes += bytes;
      this.#pumping ??= this.#pump();
    });
  }

  fail(): void {
    this.#isClosed = true;
    for (const { reject } of this.#queue.splice(0)) reject(writerGone());
    this.queuedBytes = 0;
  }

  async drain(): Promise<void> {
    this.#isClosed = true;
    await this.#pumping;
  }

  #refusal(bytes: number): DomainError | undefined {
    const isFull = this.queuedBytes > 0 && this.queuedBytes + bytes > QUEUE_BYTES_MAX;
    if (isFull) return full();
    const { waitMaxMs, clock } = this.#options;
    const [first] = this.#queue;
    if (first === undefined || waitMaxMs === 0) return undefined;
    return clock.monotonic() - first.sinceMs > waitMaxMs ? tooLong(waitMaxMs) : undefined;
  }

  /**
   * The next group forms while this one is committed. An idle writer with little to do waits for those that come in the same turn
   * of the event loop, and for nobody else: one by one they would take the core from the main thread as often.
   */
  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      if (this.#isLittle()) await breathe();
      const group = this.#takeGroup();
      if (group.length > 0) await this.#commitGroup(group);
    }
    this.#pumping = undefined;
  }

  #isLittle(): boolean {
    let operations = 0;
    return this.#queue.every(({ request }) => {
      operations += request.operations.length;
      return operations < WAITING_OPERATIONS_MAX;
    });
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
    this.queuedBytes -= bytes;
    return this.#queue.splice(0, count).filter(({ signal, reject }) => {
      if (signal?.aborted !== true) return true;
      reject(new DomainError('CANCELED', 'the transaction was canceled'));
      return false;
    });
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const { clock, commitGroup } = this.#options;
    const startMs = clock.monotonic();
    try {
      const outcomes = await commitGroup(group.map(({ request }) => request));
      this.#count(outcomes, clock.monotonic() - startMs);
      group.forEach(({ resolve, reject }, at) => {
        const outcome = outcomes[at];
        if (outcome === undefined) reject(writerGone());
        else resolve(outcome);
      });
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  #count(outcomes: readonly CommitOutcome[], ms: number): void {
    const committed = outcomes.filter(({ kind }) => kind === 'committed').length;
    this.commits += committed;
    if (committed > 0) this.#options.observer?.committed(committed, ms);
  }
}

function sizeOf(request: CommitRequest): number {
  let bytes = OPERATION_BYTES + (request.value?.length ?? 0);
  for (const operation of request.operations) {
    bytes += OPERATION_BYTES + (operation.kind === 'put' ? operation.body.length : 0);
  }
  return bytes;
}

/** ENGINE_UNAVAILABLE: nothing is committed any more. */
export function writerGone(): DomainError {
  return new DomainError('ENGINE_UNAVAILABLE', 'the store is closed or its writer has stopped');
}

function full(): DomainError {
  return new DomainError(
    'OVERLOADED',
    `more than ${QUEUE_BYTES_MAX.toString()} bytes wait to be written; try again later`,
    { metadata: { limit: QUEUE_BYTES_MAX.toString() }, retryAfterMs: RETRY_AFTER_MS },
  );
}

function tooLong(limitMs: number): DomainError {
  const limit = limitMs.toString();
  return new DomainError(
    'OVERLOADED',
    `writes wait longer than ${limit} ms for their turn; try again later`,
    { metadata: { limit }, retryAfterMs: limitMs },
  );
}
