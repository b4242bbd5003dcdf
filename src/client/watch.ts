import { setTimeout as wait } from 'node:timers/promises';

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';

import {
  WatchEventKind,
  WatchRequestSchema,
  WatchResponseSchema,
  type WatchRequest,
  type WatchResponse,
  type WatchService,
} from '../../gen/molten/v1/watch_pb.ts';
import type { Reason } from '../errors/reason.ts';
import { toMoltenError, type MoltenError } from './molten-error.ts';

/** How a watch is kept up. */
export interface WatchOptions {
  /** Ends the watch; leaving the loop does the same. */
  readonly signal?: AbortSignal;
  /**
   * A connection that says nothing for this long, in milliseconds, is given up and made anew. The server
   * sends a bookmark at least every 15 s. Default 45,000.
   */
  readonly silenceMs?: number;
  /** Told of what broke a connection before it is made anew. */
  readonly onInterruption?: (error: MoltenError) => void;
}

/** What the events come from. */
export interface WatchSource {
  readonly service: Pick<Client<typeof WatchService>, 'watch'>;
  /** The token a connection would use now. */
  readonly token: () => string | undefined;
}

const SILENCE_MS = 45_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;

/** What another connection may not meet again. */
const PASSING: readonly Reason[] = [
  ...(['OVERLOADED', 'ENGINE_UNAVAILABLE', 'SHUTTING_DOWN', 'RECOVERING', 'RATE_LIMITED'] as const),
  ...(['WATCHER_TOO_SLOW', 'DEADLINE_EXCEEDED', 'CANCELED', 'INTERNAL'] as const),
];
const CREDENTIALS: readonly Reason[] = ['CREDENTIAL_EXPIRED', 'CREDENTIAL_REVOKED'];

/**
 * Follows changes over as many connections as it takes. Every change is handed over once, in order: a
 * broken connection is resumed right behind the last message. STARTED comes first, and again only when
 * the watch had to begin anew (it was cut before its initial state was complete, or the log no longer
 * reached back): what was told before it is void then.
 *
 * Ends when the server ends it for good, when `signal` aborts, or when the loop is left. Fails with a
 * MoltenError that another attempt would meet again. An expired or revoked token is no such error while
 * `token` gives another one.
 */
export async function* followChanges(
  source: WatchSource,
  request: MessageInitShape<typeof WatchRequestSchema>,
  options: WatchOptions = {},
): AsyncGenerator<WatchResponse, void> {
  const course = new Course(create(WatchRequestSchema, request));
  const { signal } = options;
  while (true) {
    const token = source.token();
    const error = yield* runOnce(source, course, options);
    if (error === undefined || isAborted(signal)) return;
    const hasOtherToken = CREDENTIALS.includes(error.reason) && source.token() !== token;
    const isPassing = hasOtherToken || PASSING.includes(error.reason) || course.restart(error);
    if (!isPassing) throw error;
    options.onInterruption?.(error);
    await pause(course.attempts, error, signal);
    if (isAborted(signal)) return;
    course.attempts += 1;
  }
}

/** One connection; what broke it, or undefined when the server ended it in peace. */
async function* runOnce(
  source: WatchSource,
  course: Course,
  options: WatchOptions,
): AsyncGenerator<WatchResponse, MoltenError | undefined> {
  try {
    for await (const message of connectOnce(source, course.next(), options)) {
      const fresh = course.take(message);
      if (fresh !== undefined) yield fresh;
    }
    return undefined;
  } catch (error) {
    return toMoltenError(error);
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** What decides how long it is until the next connection. */
export interface Waiting {
  /** Connections in a row that brought nothing. */
  readonly attempt: number;
  /** What the server said. */
  readonly retryAfterMs: number | undefined;
  /** From 0 to 1. */
  readonly chance: number;
}

/** Twice as long each time, or as long as the server says; half of it by chance. In milliseconds. */
export function waitMsOf({ attempt, retryAfterMs, chance }: Waiting): number {
  const longestMs = Math.min(FIRST_WAIT_MS * 2 ** Math.min(attempt, 10), LONGEST_WAIT_MS);
  return retryAfterMs ?? longestMs * (0.5 + chance / 2);
}

async function pause(
  attempt: number,
  { retryAfterMs }: MoltenError,
  signal: AbortSignal | undefined,
): Promise<void> {
  const [byte = 0] = crypto.getRandomValues(new Uint8Array(1));
  const waitMs = waitMsOf({ attempt, retryAfterMs, chance: byte / 255 });
  await wait(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

/** The messages of one connection; fails when it is silent for too long. */
async function* connectOnce(
  { service }: WatchSource,
  request: WatchRequest,
  { signal, silenceMs = SILENCE_MS }: WatchOptions,
): AsyncGenerator<WatchResponse, void> {
  const own = new AbortController();
  const signals = signal === undefined ? [own.signal] : [own.signal, signal];
  // A watch lasts as long as it is wanted: no deadline.
  const call = { signal: AbortSignal.any(signals), timeoutMs: 0 };
  const messages = service.watch(request, call)[Symbol.asyncIterator]();
  try {
    while (true) {
      const next = await within(silenceMs, messages.next());
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    own.abort();
  }
}

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const silence = AbortSignal.timeout(ms);
  return new Promise((resolve, reject) => {
    const give = (): void => {
      reject(new Error('the connection is silent'));
    };
    silence.addEventListener('abort', give, { once: true });
    const settle = (): void => {
      silence.removeEventListener('abort', give);
    };
    work.finally(settle).then(resolve, reject);
  });
}

/** Where a watch is, over all its connections. */
class Course {
  readonly #request: WatchRequest;
  #resumeToken = '';
  /** The last change that was handed over: part of a commit may come again. */
  #lastSequence = 0n;
  #hasStarted = false;
  /** Connections in a row that brought nothing. */
  attempts = 0;

  constructor(request: WatchRequest) {
    this.#request = request;
  }

  /** The request of the next connection. */
  next(): WatchRequest {
    if (this.#resumeToken === '') return this.#request;
    const start = { case: 'resumeToken', value: this.#resumeToken } as const;
    return create(WatchRequestSchema, { ...this.#request, start });
  }

  /** The message without what was handed over before; undefined when nothing is left of it. */
  take(message: WatchResponse): WatchResponse | undefined {
    this.attempts = 0;
    if (message.kind === WatchEventKind.END) return undefined;
    const isFirst = message.kind === WatchEventKind.STARTED;
    const isResumed = isFirst && this.#hasStarted && this.#resumeToken !== '';
    if (message.resumeToken !== '') this.#resumeToken = message.resumeToken;
    if (isResumed) return undefined;
    if (isFirst) {
      this.#hasStarted = true;
      this.#lastSequence = 0n;
    }
    return message.kind === WatchEventKind.COMMIT ? this.#takeCommit(message) : message;
  }

  /** Begins anew where that is what was asked for; false when it was not. */
  restart({ reason }: MoltenError): boolean {
    if (reason !== 'SEQUENCE_COMPACTED' || this.#request.start.case !== 'initialState')
      return false;
    this.#resumeToken = '';
    return true;
  }

  #takeCommit(message: WatchResponse): WatchResponse | undefined {
    const changes = message.changes.filter(({ sequence }) => sequence > this.#lastSequence);
    this.#lastSequence = changes.at(-1)?.sequence ?? this.#lastSequence;
    if (changes.length === message.changes.length) return message;
    if (changes.length === 0) return undefined;
    return create(WatchResponseSchema, { ...message, changes });
  }
}
