import type { Worker } from 'node:worker_threads';

import { DomainError } from '../../errors/domain-error.ts';
import { invariant } from '../../errors/invariant.ts';
import { toError } from '../commit/operations.ts';
import {
  assertWanted,
  type Row,
  type StoreEnd,
  type StoreTarget,
  type TableName,
} from '../transfer/rows.ts';
import type { BuildReply, BuildTask } from './build-worker.ts';
import type { StoreContent } from './content.ts';
import type { StoreAccess } from './protocol.ts';
import { startWorker } from './worker.ts';

/** Builds the file of a store in a thread of its own, out of rows. Calls must not overlap. */
export interface Builder extends StoreTarget, AsyncDisposable {
  /** Removes what belongs to collections that are not there; returns the bytes that only the past needs. */
  tidy(): Promise<number>;
  /** Lets others read what is there. */
  flush(): Promise<void>;
  /** Writes where the store ends; nothing may follow. */
  finish(end: StoreEnd): Promise<void>;
  /** The same, and reads every page back. */
  finishChecked(end: StoreEnd, signal: AbortSignal | undefined): Promise<StoreContent>;
}

type BuildResult = Extract<BuildReply, { kind: 'done' }>['result'];

/** Starts to build a file that is not there yet. */
export function startBuilder(access: StoreAccess): Builder {
  return new ThreadBuilder(startWorker('build-worker', access));
}

class ThreadBuilder implements Builder {
  readonly #worker: Worker;
  /** Why it cannot go on. */
  #failure: unknown;
  #settle: ((reply: BuildReply | undefined) => void) | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (reply: BuildReply) => this.#settle?.(reply));
    worker.on('error', (error) => {
      this.#failure = error;
    });
    worker.on('exit', () => {
      this.#failure ??= new DomainError('ENGINE_UNAVAILABLE', 'the thread that copies ended early');
      this.#settle?.(undefined);
    });
  }

  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    await this.#run({ kind: 'insert', table, rows });
  }

  async tidy(): Promise<number> {
    return Number(await this.#run({ kind: 'tidy' }));
  }

  async flush(): Promise<void> {
    await this.#run({ kind: 'flush' });
  }

  async finish(end: StoreEnd): Promise<void> {
    await this.#run({ kind: 'finish', end, isCheckNeeded: false });
  }

  async finishChecked(end: StoreEnd, signal: AbortSignal | undefined): Promise<StoreContent> {
    const content = await this.#run({ kind: 'finish', end, isCheckNeeded: true }, signal);
    invariant(typeof content === 'object', 'a file that is finished has a content');
    return content;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  async #run(task: BuildTask, signal?: AbortSignal): Promise<BuildResult> {
    const reply = await new Promise<BuildReply | undefined>((resolve) => {
      this.#settle = resolve;
      if (this.#failure !== undefined || signal?.aborted === true) resolve(undefined);
      else this.#worker.postMessage(task);
      signal?.addEventListener(
        'abort',
        () => {
          resolve(undefined);
        },
        { once: true },
      );
    });
    if (reply?.kind === 'done') return reply.result;
    if (reply?.kind === 'refused') throw toError(reply.refusal);
    assertWanted(signal);
    throw this.#failure;
  }
}
