/** Told of what an engine does, as it does it. */
export interface EngineObserver {
  /** A group of transactions was committed together; milliseconds until its answer. */
  readonly committed: (transactions: number, ms: number) => void;
  /** A commit got to stable storage; milliseconds of waiting for it. */
  readonly synced: (ms: number) => void;
  /** Work beside calls failed, and will be tried again. */
  readonly failed: (work: BackgroundWork, error: unknown) => void;
}

/** What an engine does by itself. */
export type BackgroundWork = 'following the log' | 'building indexes and freeing space';
