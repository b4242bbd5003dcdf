import { DomainError } from '../../errors/domain-error.ts';
import { after, type StopTimer } from '../../platform/timers.ts';
import type { Chain } from './chain.ts';
import { createDenials, type Denials } from './denials.ts';
import { bounded, type AuditEntry, type AuditRecord, type BoundedEntry } from './record.ts';

/** Writes records in the order they come, many in one commit. */
export interface AuditWriter extends AsyncDisposable {
  record(entry: AuditEntry): Promise<AuditRecord>;
  note(entry: AuditEntry): void;
  figures(): AuditFigures;
}

/** What was written since the start. */
export interface AuditFigures {
  readonly written: number;
  /** Noted and not taken, or not written: only counted. */
  readonly dropped: number;
}

/** What a writer needs. */
export interface AuditWriterParts {
  readonly chain: Chain;
  /** Called after each commit. */
  readonly onWritten: () => void;
  /** Told of what was noted and could not be written. */
  readonly onFailure: (error: unknown) => void;
}

/** Records of one commit. */
const BATCH_MAX = 256;
/** Entries that callers wait for; more are refused. */
const RECORDS_WAITING_MAX = 16_384;
/** Noted entries that wait; more are only counted. */
const NOTES_WAITING_MAX = 4096;
const MERGE_WINDOW_MS = 1000;
/** How long to wait before the count of what was dropped is tried again. */
const RETRY_MS = 1000;

interface Waiting {
  readonly entry: BoundedEntry;
  /** Absent for what is only noted. */
  readonly settle?: {
    readonly resolve: (record: AuditRecord) => void;
    readonly reject: (error: unknown) => void;
  };
}

/** Creates the writer of a chain. */
export function createAuditWriter(parts: AuditWriterParts): AuditWriter {
  return new BatchingWriter(parts);
}

class BatchingWriter implements AuditWriter {
  readonly #parts: AuditWriterParts;
  readonly #denials: Denials;
  #queue: Waiting[] = [];
  #notesWaiting = 0;
  #dropped = 0;
  #figures: AuditFigures = { written: 0, dropped: 0 };
  #draining: Promise<void> | undefined;
  #stopRetry: StopTimer | undefined;
  #isClosed = false;

  constructor(parts: AuditWriterParts) {
    this.#parts = parts;
    this.#denials = createDenials({
      windowMs: MERGE_WINDOW_MS,
      waitingMax: () => NOTES_WAITING_MAX - this.#notesWaiting,
      emit: (entries) => {
        this.#notesWaiting += entries.length;
        for (const entry of entries) this.#queue.push({ entry });
        this.#wake();
      },
    });
  }

  record(entry: AuditEntry): Promise<AuditRecord> {
    if (this.#isClosed) return Promise.reject(closed());
    if (this.#queue.length - this.#notesWaiting >= RECORDS_WAITING_MAX) {
      return Promise.reject(behind());
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ entry: bounded(entry), settle: { resolve, reject } });
      this.#wake();
    });
  }

  note(entry: AuditEntry): void {
    if (!this.#isClosed && this.#denials.add(entry)) return;
    this.#drop(1);
    this.#retryLater();
  }

  figures(): AuditFigures {
    return this.#figures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stopRetry?.();
    this.#stopRetry = undefined;
    this.#denials[Symbol.dispose]();
    this.#wake();
    while (this.#draining !== undefined) await this.#draining;
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#figures = { ...this.#figures, dropped: this.#figures.dropped + count };
  }

  #wake(): void {
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
      // What came while the last batch settled.
      if (this.#queue.length > 0) this.#wake();
    });
  }

  async #drain(): Promise<void> {
    // Those who call in one go are written in one go.
    await Promise.resolve();
    while (this.#queue.length > 0 || this.#mayTellDropped()) {
      if (!(await this.#writeBatch())) return;
    }
  }

  async #writeBatch(): Promise<boolean> {
    const dropped = this.#mayTellDropped() ? this.#dropped : 0;
    const own = dropped === 0 ? [] : [droppedEntry(dropped)];
    const batch = this.#queue.slice(0, BATCH_MAX - own.length);
    this.#queue = this.#queue.slice(batch.length);
    const notes = batch.filter(({ settle }) => settle === undefined);
    try {
      const records = await this.#parts.chain.append([...own, ...batch.map(({ entry }) => entry)]);
      this.#dropped -= dropped;
      const { written, ...figures } = this.#figures;
      this.#figures = { ...figures, written: written + records.length };
      this.#parts.onWritten();
      for (const [at, { settle }] of batch.entries()) {
        const record = records[own.length + at];
        if (record !== undefined) settle?.resolve(record);
      }
      return true;
    } catch (error) {
      for (const { settle } of batch) settle?.reject(error);
      this.#drop(notes.reduce((sum, { entry }) => sum + countOf(entry), 0));
      if (notes.length > 0 || dropped > 0) this.#parts.onFailure(error);
      this.#retryLater();
      return batch.length > 0;
    } finally {
      this.#notesWaiting -= notes.length;
    }
  }

  /** Only when there is room again: else each batch of a flood would have such a record. */
  #mayTellDropped(): boolean {
    const waiting = this.#notesWaiting + this.#denials.waiting();
    return this.#dropped > 0 && this.#stopRetry === undefined && waiting <= NOTES_WAITING_MAX / 2;
  }

  #retryLater(): void {
    if (this.#isClosed || this.#dropped === 0) return;
    this.#stopRetry ??= after(RETRY_MS, () => {
      this.#stopRetry = undefined;
      this.#wake();
      if (this.#dropped > 0 && !this.#mayTellDropped()) this.#retryLater();
    });
  }
}

function droppedEntry(count: number): BoundedEntry {
  return bounded({
    action: 'audit.dropped',
    result: 'failure',
    details: { count: String(count) },
  });
}

function countOf({ details }: BoundedEntry): number {
  return Number(details['count']) || 1;
}

function closed(): DomainError {
  return new DomainError('SHUTTING_DOWN', 'the audit log is closed');
}

function behind(): DomainError {
  return new DomainError('RATE_LIMITED', 'the audit log cannot keep up; try again', {
    retryAfterMs: RETRY_MS,
  });
}
