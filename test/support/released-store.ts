/** Stores as releases have left them on disk, kept under `test/fixtures/stores`, one for each format and cipher of its pages. */
import { join } from 'node:path';

import type { ServerConfig } from '../../src/config/server-config.ts';
import { STORE_FORMAT } from '../../src/storage/embedded/schema.ts';

/** Where they are. */
export const STORES: string = join(import.meta.dirname, '..', 'fixtures', 'stores');

/** What this release writes. */
export const KEPT_NOW: string = [STORE_FORMAT, 'aegis-256'].join('-');

/** Where one of this release is. */
export const NEWEST: string = join(STORES, KEPT_NOW);

/** The encryption key of all of them. */
export const STORE_PASSWORD = 'the key of stores kept as fixtures';

/** A user of all of them. */
export const CLERK = { username: 'clerk', password: 'what a clerk is told at first' } as const;

/** What was written down of a store when it was made. */
export interface ReleasedStore {
  /** The format of the store, and the release that wrote it. */
  readonly format: number;
  readonly release: string;
  /** The sequence of the snapshot, and what the documents of `orders` were then, by key. */
  readonly middle: State;
  /** The newest sequence, and what they were then. */
  readonly end: State;
  readonly snapshot: string;
  /** An API key that may read `orders`. */
  readonly apiKey: string;
}

/** The documents of one moment. */
export interface State {
  readonly sequence: string;
  readonly documents: Readonly<Record<string, unknown>>;
}

/** How a server runs on a store in a directory, with its archive beside it. */
export function configOf(directory: string): Partial<ServerConfig> {
  return {
    dbPath: join(directory, 'store'),
    encryptionKey: STORE_PASSWORD,
    archive: { directory: join(directory, 'archive'), intervalMs: 3_600_000 },
  };
}
