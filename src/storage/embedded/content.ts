import { invariant } from '../../errors/invariant.ts';
import { createStatements, openConnection, type Sql } from './database.ts';
import { readEnd } from './log-writer.ts';
import type { StoreAccess } from './protocol.ts';

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

/** Reads every page of a file with its key, and tells what it holds. */
export function readSoundContent(access: StoreAccess): StoreContent {
  const database = openConnection({ ...access, access: 'read' });
  try {
    const result = database.pragma('integrity_check', { simple: true });
    invariant(result === 'ok', `the copy is damaged: ${String(result)}`);
    return readContent(createStatements(database));
  } finally {
    database.close();
  }
}

function readContent(sql: Sql): StoreContent {
  const counted = sql(COUNT).get() as { readonly collections: number; readonly documents: number };
  return { ...readEnd(sql), ...counted };
}
