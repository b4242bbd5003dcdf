import { randomInt } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import { delay } from '../../platform/timers.ts';
import type {
  Committed,
  DocumentReader,
  RequestIdentity,
  TransactOptions,
  Transaction,
} from '../engine.ts';
import { toSequence, toVersion } from '../types.ts';
import { createDraft } from './draft.ts';
import type { LogPosition } from './log-writer.ts';
import { toError, type Answer, type CommitOutcome, type CommitRequest } from './operations.ts';

/** What a callback of a transaction is. */
export type TransactionBody<T> = (transaction: Transaction) => T | Promise<T>;

/** Runs callbacks until what they saw is what they change. */
export interface Transactor {
  transact<T>(options: TransactOptions, body: TransactionBody<T>): Promise<Committed<T>>;
}

/** An answer of before, or the refusal to give it. */
export type Remembered = Extract<CommitOutcome, { kind: 'replayed' | 'refused' }>;

/** What a transactor works with. */
export interface TransactorParts {
  readonly reader: DocumentReader;
  readonly commit: (
    request: CommitRequest,
    signal: AbortSignal | undefined,
  ) => Promise<CommitOutcome>;
  /** What was answered to a request id. */
  readonly remembered: (
    identity: RequestIdentity,
  ) => Remembered | undefined | Promise<Remembered | undefined>;
  /** The end of the log. */
  readonly position: () => LogPosition | Promise<LogPosition>;
}

const RERUNS_MAX = 16;
const JITTER_MS = 4;

/** Creates the transactor of an engine. */
export function createTransactor(parts: TransactorParts): Transactor {
  async function remembered<T>({ request }: TransactOptions): Promise<Committed<T> | undefined> {
    if (request === undefined) return undefined;
    const outcome = await parts.remembered(request);
    return outcome && replayOf<T>(outcome);
  }

  /** One run; undefined when something it saw has changed. */
  async function run<T>(
    options: TransactOptions,
    body: TransactionBody<T>,
  ): Promise<Committed<T> | undefined> {
    const draft = createDraft(parts.reader);
    const value = await body(draft.transaction);
    draft.seal();
    assertNotAborted(options.signal);
    const { durability, request, lease } = options;
    const work = draft.work();
    const isEmpty = Object.values(work).every((list) => list.length === 0);
    if (isEmpty && request === undefined) {
      const { sequence: last, timestampMs } = await parts.position();
      const sequence = toSequence(last);
      return { value, writes: [], sequence, timestampMs, durability, replayed: false };
    }
    const text = request === undefined ? undefined : JSON.stringify(value);
    const outcome = await parts.commit(
      { durability, request, lease, value: text, ...work },
      options.signal,
    );
    if (outcome.kind === 'changed') return undefined;
    return outcome.kind === 'committed' ? committed(outcome.answer, value) : replayOf<T>(outcome);
  }

  return {
    async transact(options, body) {
      for (let runs = 0; runs <= RERUNS_MAX; runs++) {
        assertNotAborted(options.signal);
        const before = await remembered<Awaited<ReturnType<typeof body>>>(options);
        if (before !== undefined) return before;
        try {
          const result = await run(options, body);
          if (result !== undefined) return result;
        } catch (error) {
          // A twin of this request may have committed while the body ran; then its answer counts.
          const twin = await remembered<Awaited<ReturnType<typeof body>>>(options);
          if (twin === undefined) throw error;
          return twin;
        }
        await delay(randomInt(JITTER_MS * (runs + 1)) + 1, options.signal);
      }
      const attempts = (RERUNS_MAX + 1).toString();
      throw new DomainError(
        'TRANSACTION_CONFLICT',
        `what the transaction read changed ${attempts} times before it could commit; try again`,
        { metadata: { attempts } },
      );
    },
  };
}

function replayOf<T>(outcome: Remembered): Committed<T> {
  if (outcome.kind === 'refused') throw toError(outcome.refusal);
  const { value } = outcome.answer;
  // Remembered from a callback of the same request, so of the same type.
  const parsed = (value === undefined ? undefined : JSON.parse(value)) as T;
  return { ...committed(outcome.answer, parsed), replayed: true };
}

function committed<T>(answer: Answer, value: T): Committed<T> {
  return {
    value,
    writes: answer.writes.map((written) => ({
      ...written,
      version: toVersion(written.version),
      sequence: toSequence(written.sequence),
      createdSequence: toSequence(written.createdSequence),
    })),
    sequence: toSequence(answer.sequence),
    timestampMs: answer.timestampMs,
    durability: answer.durability,
    replayed: false,
  };
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new DomainError('CANCELED', 'the transaction was canceled');
}
