import type { Worker } from 'node:worker_threads';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type {
  CommitOutcome,
  CommitRequest,
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
  run(task: Exclude<WriterTask, { kind: 'commit' }>): Promise<WriterResult>;
  queuedBytes(): number;
  /** Ends the thread after everything queued is committed and flushed. */
  close(): Promise<void>;
}

/** How the main thread takes part. */
export interface WriterThreadOptions {
  readonly settings: WriterSettings;
  readonly clock: Clock;
  /** Called with every new state, before the promises of its commits resolve. */
  readonly onState: (state: WriterState) => void;
  /** Called when the thread ended without being asked to. */
  readonly onFailure: (cause: unknown) => void;
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
  const { clock, onState, onFailure } = options;
  const worker: Worker = startWorker('writer-worker', options.settings);
  const pending = new Map<number, (reply: WriterReply | undefined) => void>();
  const exited = new Promise<void>((resolve) =>
    worker.once('exit', () => {
      resolve();
    }),
  );
  let queue: Waiting[] = [];
  let queuedBytes = 0;
  let pumping: Promise<void> | undefined;
  let isClosing = false;
  let isGone = false;
  let lastId = 0;

  worker.on('message', (reply: WriterReply) => {
    onState(reply.state);
    pending.get(reply.id)?.(reply);
    pending.delete(reply.id);
  });
  worker.on('error', (error) => {
    fail(error);
  });
  worker.on('exit', () => {
    fail(new Error('the writer thread ended'));
  });

  function fail(cause: unknown): void {
    if (isGone) return;
    isGone = true;
    if (!isClosing) onFailure(cause);
    for (const settle of pending.values()) settle(undefined);
    pending.clear();
    for (const waiting of takeAll()) waiting.reject(gone());
  }

  function takeAll(): readonly Waiting[] {
    const all = queue;
    queue = [];
    queuedBytes = 0;
    return all;
  }

  function send(task: WriterTask): Promise<WriterResult> {
    return new Promise((resolve, reject) => {
      if (isGone) {
        reject(gone());
        return;
      }
      const id = ++lastId;
      pending.set(id, (reply) => {
        if (reply === undefined) reject(gone());
        else resolve(reply.result);
      });
      const message: WriterMessage = { id, nowMs: clock.now(), task };
      worker.postMessage(message);
    });
  }

  /** The next group forms while this one is committed; an idle writer waits for nobody. */
  async function pump(): Promise<void> {
    while (queue.length > 0) await commitGroup(takeGroup());
    pumping = undefined;
  }

  function takeGroup(): readonly Waiting[] {
    let operations = 0;
    let bytes = 0;
    let count = 0;
    for (const { request, bytes: size } of queue) {
      const isFull = operations >= GROUP_OPERATIONS_MAX || bytes >= GROUP_BYTES_MAX;
      if (count > 0 && isFull) break;
      operations += request.operations.length;
      bytes += size;
      count += 1;
    }
    queuedBytes -= bytes;
    return queue.splice(0, count);
  }

  async function commitGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const result = await send({ kind: 'commit', commits: group.map(({ request }) => request) });
      const outcomes = result.kind === 'committed' ? result.outcomes : [];
      group.forEach(({ resolve, reject }, at) => {
        const outcome = outcomes[at];
        if (outcome === undefined) reject(gone());
        else resolve(outcome);
      });
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  return {
    commit(request) {
      const bytes = sizeOf(request);
      if (isGone || isClosing) return Promise.reject(gone());
      if (queuedBytes > 0 && queuedBytes + bytes > QUEUE_BYTES_MAX) return Promise.reject(full());
      return new Promise((resolve, reject) => {
        queue.push({ request, bytes, resolve, reject });
        queuedBytes += bytes;
        pumping ??= pump();
      });
    },
    run: send,
    queuedBytes: () => queuedBytes,
    async close() {
      if (isClosing) {
        await exited;
        return;
      }
      isClosing = true;
      await pumping;
      if (!isGone) await send({ kind: 'close' });
      await exited;
    },
  };
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
