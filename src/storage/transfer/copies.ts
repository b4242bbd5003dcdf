import type { StoreCopy } from '../engine.ts';
import type { StoreEnd, StoreTarget } from './rows.ts';

/** Writes copies of a store that is kept elsewhere, each a directory that opens as a store of its own. */
export interface CopyWriter {
  /** The directory must not exist. */
  begin(directory: string): Promise<CopyInProgress>;
  /** A key for what is kept beside the copies; undefined when they are not encrypted. */
  derivedKey(purpose: string): Uint8Array | undefined;
}

/** A copy that is being written. Nothing stays of one that is disposed before it is finished. */
export interface CopyInProgress extends StoreTarget, AsyncDisposable {
  /** Reads all of it back, flushes and hashes its files. */
  finish(end: StoreEnd, signal: AbortSignal | undefined): Promise<StoreCopy>;
}
