import type { LogStore } from './store.ts';

/** One entry to append; what is absent is 0, empty or null. */
export interface NewEntry {
  readonly kind: number;
  readonly collection: number;
  readonly key?: string;
  readonly version?: number;
  readonly previous?: number;
  /** Absent: the sequence of this entry itself. */
  readonly createdSequence?: number;
  readonly createdAtMs?: number;
  readonly expiresAtMs?: number | undefined;
  readonly cause?: number;
  readonly body?: string;
}

/** A place in the log. */
export interface LogPosition {
  readonly sequence: number;
  readonly timestampMs: number;
}

/** Numbers and appends entries. Only whoever may write has one. */
export interface LogWriter {
  /** Fixes the commit time of what follows; it never goes back behind the last one. */
  setTime(nowMs: number): void;
  /** The wall time of the request, for expiry. */
  nowMs(): number;
  /** The commit time. */
  timestampMs(): number;
  /** Entries from here on belong to one commit. */
  beginCommit(): void;
  /** The sequence that the next entry will get. */
  next(): number;
  append(entry: NewEntry): number;
  position(): LogPosition;
  /** Counts bytes of bodies that only the past needs from now on; negative when they are removed. */
  addHistory(bytes: number): void;
  historyBytes(): number;
  /** What `rewind` takes back. */
  mark(): LogMark;
  /** Takes back what a savepoint took back. */
  rewind(mark: LogMark): void;
  /** Writes what is counted; call before COMMIT. */
  save(): void;
}

/** A place to go back to. */
export interface LogMark extends LogPosition {
  readonly history: number;
}

/** Continues a log from its end. */
export function continueLog(store: LogStore, end: LogMark): LogWriter {
  let { sequence, timestampMs, history } = end;
  let commitMs = timestampMs;
  let wallMs = 0;
  let savedHistory = history;
  let first = sequence + 1;
  return {
    setTime(nowMs) {
      wallMs = nowMs;
      commitMs = Math.max(timestampMs, nowMs);
    },
    nowMs: () => wallMs,
    timestampMs: () => commitMs,
    beginCommit() {
      first = sequence + 1;
    },
    next: () => sequence + 1,
    append(entry) {
      sequence += 1;
      timestampMs = commitMs;
      const { kind, collection, key = '', version = 0, previous = 0, cause = 0 } = entry;
      store.insertEntry({
        ...{ seq: sequence, ts: timestampMs, first, kind, collection, key, version, previous },
        created_seq: entry.createdSequence ?? sequence,
        created_at: entry.createdAtMs ?? timestampMs,
        ...{ expires_at: entry.expiresAtMs ?? null, cause, body: entry.body ?? null },
      });
      return sequence;
    },
    position: () => ({ sequence, timestampMs }),
    addHistory(bytes) {
      history += bytes;
    },
    historyBytes: () => history,
    mark: () => ({ sequence, timestampMs, history }),
    rewind(mark) {
      ({ sequence, timestampMs, history } = mark);
    },
    save() {
      if (history === savedHistory) return;
      store.saveHistoryBytes(history);
      savedHistory = history;
    },
  };
}
