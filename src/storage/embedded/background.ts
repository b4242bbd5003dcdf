/**
 * The writer's work between commits, in slices of a few milliseconds: building indexes, clearing away
 * entries of dropped ones, trimming collections to a lowered bound, forgetting old request ids, removing
 * what lies below the floor. Every
 * slice is a transaction of its own, so that a crash loses at most one and the next start goes on.
 */
import { createCandidate } from '../query/candidate.ts';
import type { Committer } from '../commit/committer.ts';
import type { Sql } from './database.ts';
import type { LogWriter } from '../commit/log-writer.ts';
import { pruneSlice } from './prune.ts';
import { DOCUMENT_COLUMNS, documentOf, type DocumentRow, type IndexRow } from '../commit/rows.ts';
import type { LiveCollection, LiveIndex, WriterCatalog } from '../commit/catalog.ts';

/** What background work needs. */
export interface BackgroundParts {
  readonly sql: Sql;
  readonly catalog: WriterCatalog;
  readonly log: LogWriter;
  readonly committer: Committer;
}

/** Work in slices. */
export interface Background {
  /** Does one slice inside an open transaction; false when nothing is left to do. */
  slice(): boolean;
}

const BUILD_SLICE = 250;
const CLEAR_SLICE = 1000;
const TRIM_SLICE = 1000;
const REMEMBER_MS = 26 * 60 * 60 * 1000;

const NEXT_DOCUMENTS = `SELECT ${DOCUMENT_COLUMNS} FROM head h CROSS JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.key > ? AND h.live = 1 ORDER BY h.key LIMIT ?`;
const CLEAR_ENTRIES = `DELETE FROM entry WHERE (idx, value, key) IN
  (SELECT idx, value, key FROM entry WHERE idx = ? LIMIT ?)`;
const FORGET = `DELETE FROM request WHERE (principal, id) IN
  (SELECT principal, id FROM request INDEXED BY request_age WHERE at < ? ORDER BY at LIMIT ?)`;

/** Creates the background work of a writer. */
export function createBackground({ sql, catalog, log, committer }: BackgroundParts): Background {
  function build(): boolean {
    for (const collection of catalog.all()) {
      const index = collection.indexes.find(({ row }) => row.state === 'building');
      if (index === undefined) continue;
      buildSlice(sql, { catalog, collection, index });
      return true;
    }
    return false;
  }

  function clear(): boolean {
    const id = sql('SELECT id FROM retired_idx LIMIT 1').pluck().get();
    if (id === undefined) return false;
    const { changes } = sql(CLEAR_ENTRIES).run(id, CLEAR_SLICE);
    if (changes < CLEAR_SLICE) sql('DELETE FROM retired_idx WHERE id = ?').run(id);
    return true;
  }

  function forget(): boolean {
    return sql(FORGET).run(log.nowMs() - REMEMBER_MS, CLEAR_SLICE).changes > 0;
  }

  return {
    slice: () =>
      build() || clear() || committer.trim(TRIM_SLICE) > 0 || forget() || pruneSlice(sql, log),
  };
}

interface Build {
  readonly catalog: WriterCatalog;
  readonly collection: LiveCollection;
  readonly index: LiveIndex;
}

function buildSlice(sql: Sql, { catalog, collection, index }: Build): void {
  const { row } = index;
  const start = row.built_to ?? '';
  const rows = sql(NEXT_DOCUMENTS).all(collection.id, start, BUILD_SLICE) as DocumentRow[];
  for (const document of rows) {
    const entry = index.encode(createCandidate(documentOf(collection.name, document)));
    const isGuarded = row.is_unique === 1 && !entry.isExempt;
    const other = isGuarded
      ? otherHolder(sql, row, { value: entry.key, key: document.key })
      : undefined;
    if (other !== undefined) {
      const failure = `documents '${other}' and '${document.key}' hold the same values; change one, drop the index and declare it again`;
      catalog.saveIndex(collection, { ...row, state: 'failed', failure });
      return;
    }
    sql('INSERT OR IGNORE INTO entry (idx, value, key) VALUES (?, ?, ?)').run(
      ...[row.id, entry.key, document.key],
    );
  }
  catalog.saveIndex(collection, {
    ...row,
    documents_done: row.documents_done + rows.length,
    built_to: rows.at(-1)?.key ?? start,
    state: rows.length < BUILD_SLICE ? 'ready' : 'building',
  });
}

const OTHER_HOLDER = 'SELECT key FROM entry WHERE idx = ? AND value = ? AND key <> ? LIMIT 1';

function otherHolder(
  sql: Sql,
  row: IndexRow,
  { value, key }: { value: Buffer; key: string },
): string | undefined {
  return sql(OTHER_HOLDER).pluck().get(row.id, value, key) as string | undefined;
}
