import type { Sql } from './database.ts';
import { readEnd } from './log-writer.ts';

/** What a file holds, in figures. */
export interface StoreContent {
  readonly sequence: number;
  readonly timestampMs: number;
  /** Collections of users, and the documents in them. */
  readonly collections: number;
  readonly documents: number;
}

const COUNT = `SELECT count(*) AS collections, coalesce(sum(documents), 0) AS documents
  FROM collection WHERE retired IS NULL AND substr(name, 1, 1) <> '$'`;

/** Reads the figures of an open file. */
export function readContent(sql: Sql): StoreContent {
  const counted = sql(COUNT).get() as { readonly collections: number; readonly documents: number };
  return { ...readEnd(sql), ...counted };
}
