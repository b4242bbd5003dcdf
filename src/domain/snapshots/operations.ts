/**
 * Long work that is watched instead of waited for: started, told of its progress, canceled, awaited. The
 * shape is that of google.longrunning. What has ended is kept for a while, and forgotten with the process.
 */
import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import type { IdSource } from '../../platform/ids.ts';
import { breathe, delay } from '../../platform/timers.ts';

/** What kind of work. */
export type OperationKind = 'snapshot' | 'verify' | 'restore' | 'rotateDataKey';

/** How far it is. */
export interface OperationProgress {
  /** What is being done, such as `copying`. */
  readonly phase: string;
  /** Units done, and in all when that is known. */
  readonly done: number;
  readonly total: number | undefined;
}

/** One piece of work, as it is now. */
export interface Operation {
  readonly id: string;
  readonly kind: OperationKind;
  /** What it works on: the name of a snapshot, or of a collection. Empty while that is not known. */
  readonly subject: string;
  readonly state: 'running' | 'succeeded' | 'failed' | 'canceled';
  readonly progress: OperationProgress;
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  /** Why it failed. */
  readonly error: DomainError | undefined;
}

/** What the work is given. */
export interface OperationContext {
  readonly signal: AbortSignal;
  readonly report: (progress: Partial<OperationProgress>) => void;
  /** Says what it works on, when that was not known at its start. */
  readonly setSubject: (subject: string) => void;
}

/** Work that runs, and what it ends with. */
export interface StartedOperation<T> {
  readonly id: string;
  readonly result: Promise<T>;
}

/** All operations of a server. */
export interface Operations extends AsyncDisposable {
  /** QUOTA_EXCEEDED when too many run. */
  start<T>(
    kind: OperationKind,
    subject: string,
    work: (context: OperationContext) => Promise<T>,
  ): StartedOperation<T>;
  /** OPERATION_NOT_FOUND for an unknown or forgotten one. */
  get(id: string): Operation;
  /** Newest first. */
  list(): readonly Operation[];
  /** Asks it to end; one that has ended stays as it is. */
  cancel(id: string): Operation;
  /** The operation once it has ended, or as it is after `ms` or when `signal` aborts. */
  wait(id: string, ms: number, signal: AbortSignal): Promise<Operation>;
}

const RUNNING_MAX = 16;
const KEPT_MAX = 1000;

/** Creates an empty set of operations. */
export function createOperations(parts: {
  readonly clock: Clock;
  readonly ids: IdSource;
  /** The name of this node, which ids end with. Absent: no other node works on the store. */
  readonly node?: string | undefined;
  /** Told of what failed without anybody waiting. */
  readonly onFailure: (operation: Operation) => void;
}): Operations {
  return new KeptOperations(parts);
}

interface Entry {
  operation: Operation;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

class KeptOperations implements Operations {
  readonly #clock: Clock;
  readonly #ids: IdSource;
  readonly #origin: string;
  readonly #onFailure: (operation: Operation) => void;
  /** In the order they were started. */
  readonly #entries = new Map<string, Entry>();

  constructor(parts: Parameters<typeof createOperations>[0]) {
    this.#clock = parts.clock;
    this.#ids = parts.ids;
    // Ids are a segment of a path, before a colon.
    this.#origin = parts.node === undefined ? '' : `@${parts.node.replaceAll(/[^\w.-]/g, '_')}`;
    this.#onFailure = parts.onFailure;
  }

  start<T>(
    kind: OperationKind,
    subject: string,
    work: (context: OperationContext) => Promise<T>,
  ): StartedOperation<T> {
    this.#makeRoom();
    const id = `${this.#ids.uuid()}${this.#origin}`;
    const abort = new AbortController();
    const operation: Operation = {
      ...{ id, kind, subject, state: 'running', startedAtMs: this.#clock.now() },
      ...{ progress: { phase: 'starting', done: 0, total: undefined } },
      ...{ endedAtMs: undefined, error: undefined },
    };
    const report = (progress: Partial<OperationProgress>): void => {
      this.#change(id, { progress: { ...this.get(id).progress, ...progress } });
    };
    const setSubject = (name: string): void => {
      this.#change(id, { subject: name });
    };
    // Not at once: it is known before it begins.
    const result = breathe().then(() => work({ signal: abort.signal, report, setSubject }));
    const ended = result.then(
      () => {
        this.#end(id, { state: 'succeeded' });
      },
      (error: unknown) => {
        this.#fail(id, error);
      },
    );
    this.#entries.set(id, { operation, abort, ended });
    return { id, result };
  }

  get(id: string): Operation {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw notFound(id);
    return entry.operation;
  }

  list(): readonly Operation[] {
    return [...this.#entries.values()].map(({ operation }) => operation).reverse();
  }

  cancel(id: string): Operation {
    const operation = this.get(id);
    this.#entries.get(id)?.abort.abort();
    return operation;
  }

  async wait(id: string, ms: number, signal: AbortSignal): Promise<Operation> {
    this.get(id);
    const waiting = new AbortController();
    const until = AbortSignal.any([signal, waiting.signal]);
    await Promise.race([this.#entries.get(id)?.ended, delay(ms, until)]);
    waiting.abort();
    return this.get(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { abort } of this.#entries.values()) abort.abort();
    await Promise.all([...this.#entries.values()].map(({ ended }) => ended));
  }

  #makeRoom(): void {
    const running = this.list().filter(({ state }) => state === 'running').length;
    if (running >= RUNNING_MAX) throw tooMany();
    for (const [id, { operation }] of this.#entries) {
      if (this.#entries.size < KEPT_MAX) return;
      if (operation.state !== 'running') this.#entries.delete(id);
    }
  }

  #fail(id: string, error: unknown): void {
    const known =
      error instanceof DomainError
        ? error
        : new DomainError('INTERNAL', 'the operation failed; see the log', { cause: error });
    const isCanceled = known.reason === 'CANCELED';
    this.#end(id, { state: isCanceled ? 'canceled' : 'failed', error: known });
    if (!isCanceled) this.#onFailure(this.get(id));
  }

  #end(id: string, change: Partial<Operation>): void {
    this.#change(id, { ...change, endedAtMs: this.#clock.now() });
  }

  #change(id: string, change: Partial<Operation>): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.operation = { ...entry.operation, ...change };
  }
}

function notFound(id: string): DomainError {
  const [, node] = id.split('@');
  const problem =
    node === undefined
      ? `there is no operation '${id}'`
      : `there is no operation '${id}' at this node; node '${node}' began it, and only there it can be asked for`;
  return new DomainError(
    'OPERATION_NOT_FOUND',
    `${problem}; those that have ended are forgotten after a while, and all of them with their process`,
    { metadata: { operation: id, ...(node !== undefined && { node }) } },
  );
}

function tooMany(): DomainError {
  const limit = RUNNING_MAX.toString();
  return new DomainError('QUOTA_EXCEEDED', `${limit} operations run already; wait for one to end`, {
    metadata: { limit },
  });
}
