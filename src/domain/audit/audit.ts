/**
 * The audit log: who did what, when, from where and how it ended, in a chain that shows when it is changed.
 *
 * Each record seals the one before it with a key that is derived from the server's secret, so that who can
 * write the store but does not know the secret can neither change, nor add, nor leave out a record
 * unnoticed. Where the chain begins (retention deletes its oldest part) and ends is kept, sealed, in the
 * same commit. One thing no store can show by itself: that all of it was put back as it once was. For
 * that there is the file beside it, or a number and a hash kept elsewhere.
 *
 * Records are written one batch after the other: `record` for what must be known before an answer, `note`
 * for what anybody can cause in any number.
 */
import type { Clock } from '../../platform/clock.ts';
import { every, type StopTimer } from '../../platform/timers.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { openChain, type Chain } from './chain.ts';
import { createFollowers, type Followers } from './follow.ts';
import { listRecords, type AuditPage, type AuditQuery } from './list.ts';
import type { AuditEntry, AuditRecord } from './record.ts';
import { deleteOld } from './retention.ts';
import { startSink, type Sink } from './sink.ts';
import { verifyChain, type AuditVerification, type VerifyRange } from './verify.ts';
import { createAuditWriter, type AuditFigures, type AuditWriter } from './writer.ts';

/** The audit log of a store, open. Disposing writes what waits, and ends those who follow. */
export interface Audit extends AsyncDisposable {
  /** Adds a record; it is on disk when this resolves. RATE_LIMITED when too many wait. */
  record(entry: AuditEntry): Promise<AuditRecord>;
  /**
   * Adds a record within about a second and does not wait. Equal ones (actor, address, action, resource, reason)
   * are merged then, with their `count` as a detail; beyond 4,096 they are only counted, and the count is
   * recorded as `audit.dropped`.
   */
  note(entry: AuditEntry): void;
  list(query: AuditQuery): Promise<AuditPage>;
  /** Records after a number, as they are written; undefined: only those from now on. */
  follow(afterNumber: number | undefined, signal: AbortSignal): AsyncIterable<AuditRecord>;
  /** Walks the chain up to its first broken place. CANCELED when the signal aborts. */
  verify(range: VerifyRange, signal: AbortSignal): Promise<AuditVerification>;
  figures(): AuditFigures;
  /** Deletes what is too old, now, unless another node does; returns how many records went. */
  applyRetention(): Promise<number>;
  /** Ends all who follow, for good. */
  stopFollowing(): void;
}

/** What the audit log is made of. */
export interface AuditOptions {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  /** Seals the chain; server-held, at least 32 bytes. */
  readonly key: Uint8Array;
  /** How long records are kept, in milliseconds; 0: for ever. */
  readonly retainMs: number;
  /** A file that gets every record as well, as a JSON line. Absent: none. */
  readonly file?: string | undefined;
  /** Milliseconds between two looks for old records. Default a minute. */
  readonly retentionIntervalMs?: number | undefined;
  /** Milliseconds before a file that could not be written is tried again. Default 5,000. */
  readonly fileRetryMs?: number | undefined;
  /** Told, in one sentence, of what failed without anybody waiting for it. */
  readonly onFailure: (problem: string, error?: Error) => void;
}

const RETENTION_INTERVAL_MS = 60_000;
const FILE_RETRY_MS = 5000;

/** Opens the audit log of a store and goes on from its end. */
export async function createAudit(options: AuditOptions): Promise<Audit> {
  const { engine, clock, key, onFailure } = options;
  const chain = await openChain({
    engine,
    clock,
    key,
    onProblem: (problem) => {
      onFailure(problem);
    },
  });
  const followers = createFollowers(chain);
  const sink = openSink(options, chain);
  return new ChainedAudit(options, { chain, followers, sink });
}

function openSink(
  { file, fileRetryMs: retryMs = FILE_RETRY_MS, onFailure }: AuditOptions,
  chain: Chain,
): Sink | undefined {
  if (file === undefined) return undefined;
  return startSink({
    ...{ chain, path: file, retryMs },
    onFailure: (error) => {
      onFailure('the audit file could not be written; it is tried again', toError(error));
    },
  });
}

interface Parts {
  readonly chain: Chain;
  readonly followers: Followers;
  readonly sink: Sink | undefined;
}

class ChainedAudit implements Audit {
  readonly #options: AuditOptions;
  readonly #parts: Parts;
  readonly #writer: AuditWriter;
  readonly #stopTimer: StopTimer;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: AuditOptions, parts: Parts) {
    const { onFailure, retentionIntervalMs = RETENTION_INTERVAL_MS } = options;
    this.#options = options;
    this.#parts = parts;
    this.#writer = createAuditWriter({
      chain: parts.chain,
      onWritten: () => {
        parts.followers.wake();
        parts.sink?.wake();
      },
      onFailure: (error) => {
        onFailure('audit records could not be written; they are counted', toError(error));
      },
    });
    this.#stopTimer = every(retentionIntervalMs, () => {
      // One look after the other, however long it takes.
      this.#running = this.#running
        .then(() => this.applyRetention())
        .catch((error: unknown) => {
          onFailure('old audit records could not be deleted; it is tried again', toError(error));
        });
    });
  }

  record(entry: AuditEntry): Promise<AuditRecord> {
    return this.#writer.record(entry);
  }

  note(entry: AuditEntry): void {
    this.#writer.note(entry);
  }

  list(query: AuditQuery): Promise<AuditPage> {
    return listRecords(this.#parts.chain, query);
  }

  figures(): AuditFigures {
    return this.#writer.figures();
  }

  async *follow(afterNumber: number | undefined, signal: AbortSignal): AsyncIterable<AuditRecord> {
    const { chain, followers } = this.#parts;
    const pages = followers.pages(afterNumber ?? chain.ends().end.number, signal);
    for await (const page of pages) yield* page;
  }

  verify(range: VerifyRange, signal: AbortSignal): Promise<AuditVerification> {
    return verifyChain(this.#parts.chain, range, signal);
  }

  async applyRetention(): Promise<number> {
    const { engine, clock, retainMs } = this.#options;
    if (retainMs === 0) return 0;
    const lease = await engine.lease('auditRetention');
    if (lease === undefined) return 0;
    const beforeMs = clock.now() - retainMs;
    const times = { beforeMs, brokenBeforeMs: beforeMs - retainMs, lease };
    return await deleteOld(this.#parts.chain, times);
  }

  stopFollowing(): void {
    this.#parts.followers.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { followers, sink } = this.#parts;
    this.#stopTimer();
    await this.#running;
    await this.#writer[Symbol.asyncDispose]();
    await sink?.[Symbol.asyncDispose]();
    followers.end();
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
