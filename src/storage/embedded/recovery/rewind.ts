import { randomUUID } from 'node:crypto';

import { DomainError } from '../../../errors/domain-error.ts';
import type { CollectionSettings } from '../../types.ts';
import type { Sql } from '../database.ts';
import { assertKept, saveHistoryBytes } from '../floor.ts';
import { readEnd } from '../log-writer.ts';
import { ENTRY_TABLE } from '../schema.ts';

/** What a rewind took away. */
export interface Rewound {
  /** Entries of the log that are gone. */
  readonly removedEntries: number;
  /** What could not be brought back as it was, in words. */
  readonly notes: readonly string[];
}

/** For each key that was written later: the first of those entries, and what that one replaced. */
const COLLECT_TOUCHED = `CREATE TEMP TABLE touched AS
  SELECT collection, key, previous, min(seq) AS first FROM ver
  WHERE seq > ? AND kind IN (1, 2) GROUP BY collection, key`;
const DROP_HEADS = `DELETE FROM head WHERE EXISTS
  (SELECT 1 FROM touched t WHERE t.collection = head.collection AND t.key = head.key)`;
const RESTORE_HEADS = `INSERT INTO head (collection, key, seq, live, created_seq, expires_at)
  SELECT t.collection, t.key, p.seq, p.kind = 1, p.created_seq,
    CASE p.kind WHEN 1 THEN p.expires_at END
  FROM touched t JOIN ver p ON p.seq = t.previous`;
/** A clear moved the indexes to a new incarnation, which goes; the old one gets them back. */
const RETURN_INDEXES = `UPDATE idx SET collection = (
    SELECT old.id FROM collection old JOIN collection new ON new.uid = old.uid
    WHERE new.id = idx.collection AND old.born <= :at AND (old.retired IS NULL OR old.retired > :at))
  WHERE collection IN (
    SELECT new.id FROM collection new JOIN collection old ON new.uid = old.uid
    WHERE new.born > :at AND old.born <= :at AND (old.retired IS NULL OR old.retired > :at))`;

/**
 * Takes an open file of its own back to a sequence: what was written later is as if it had never been. The
 * file starts a new timeline, so that positions of the old one are refused and not mistaken. Indexes are
 * built anew when the store is opened. SEQUENCE_COMPACTED when the file does not reach back that far.
 */
export function rewind(sql: Sql, target: number): Rewound {
  assertKept(sql, target);
  const last = readEnd(sql).sequence;
  if (target > last) throw beyond(target, last);
  sql(COLLECT_TOUCHED).run(target);
  sql('CREATE INDEX touched_key ON touched (collection, key)').run();
  sql(DROP_HEADS).run();
  sql(RESTORE_HEADS).run();
  const notes = [...rewindCollections(sql, target), ...rewindSettings(sql, target)];
  const { changes } = sql('DELETE FROM ver WHERE seq > ?').run(target);
  sql('DROP TABLE touched').run();
  sql('DELETE FROM request').run();
  beginTimeline(sql, target);
  return { removedEntries: changes, notes };
}

function rewindCollections(sql: Sql, target: number): readonly string[] {
  const dropped = sql(
    `SELECT name FROM collection WHERE born <= ? AND retired > ?
     AND uid NOT IN (SELECT uid FROM collection WHERE born > ? AND retired IS NULL)`,
  )
    .pluck()
    .all(target, target, target);
  sql(RETURN_INDEXES).run({ at: target });
  sql('DELETE FROM idx WHERE collection IN (SELECT id FROM collection WHERE born > ?)').run(target);
  sql('DELETE FROM collection WHERE born > ?').run(target);
  sql('UPDATE collection SET retired = NULL WHERE retired > ?').run(target);
  return dropped.map(
    (name) =>
      `collection '${String(name)}' was dropped later; its indexes are to be declared again`,
  );
}

interface LaterSettings {
  readonly id: number;
  readonly name: string;
  readonly settings_seq: number;
}

function rewindSettings(sql: Sql, target: number): readonly string[] {
  const later = sql(
    'SELECT id, name, settings_seq FROM collection WHERE retired IS NULL AND settings_seq > ?',
  ).all(target) as LaterSettings[];
  return later.flatMap(({ id, name, settings_seq: newest }) => {
    const found = settingsAt(sql, newest, target);
    if (found === undefined) {
      return [`the settings that collection '${name}' had are not known; it keeps its newest`];
    }
    const { rules, documentsMax } = JSON.parse(found.body) as CollectionSettings;
    sql('UPDATE collection SET rules = ?, documents_max = ?, settings_seq = ? WHERE id = ?').run(
      ...[rules, documentsMax ?? null, found.seq, id],
    );
    return [];
  });
}

interface SettingsEntry {
  readonly seq: number;
  readonly previous: number;
  readonly body: string;
}

function settingsAt(sql: Sql, newest: number, target: number): SettingsEntry | undefined {
  for (let at = newest; at !== 0;) {
    const entry = sql('SELECT seq, previous, body FROM ver WHERE seq = ?').get(at) as
      SettingsEntry | undefined;
    if (entry === undefined || entry.seq <= target) return entry;
    at = entry.previous;
  }
  return undefined;
}

/** Gives a file a timeline of its own, counts what it holds, and has its indexes built anew. */
export function beginTimeline(sql: Sql, sequence: number): void {
  sql(
    `UPDATE collection SET (documents, bytes, last_put_at) = (
       SELECT count(*), coalesce(sum(octet_length(v.body)), 0), coalesce(max(v.ts), collection.created_at)
       FROM head h JOIN ver v ON v.seq = h.seq WHERE h.collection = collection.id AND h.live = 1)
     WHERE retired IS NULL`,
  ).run();
  const all = Number(
    sql('SELECT coalesce(sum(octet_length(body)), 0) FROM ver WHERE kind = 1').pluck().get(),
  );
  const live = Number(
    sql('SELECT coalesce(sum(bytes), 0) FROM collection WHERE retired IS NULL').pluck().get(),
  );
  saveHistoryBytes(sql, all - live);
  sql('DROP TABLE entry').run();
  sql(ENTRY_TABLE).run();
  sql(`UPDATE idx SET state = 'building', documents_done = 0, built_to = NULL, failure = ''`).run();
  sql(`UPDATE meta SET value = ? WHERE name = 'epoch'`).run(randomUUID());
  sql(`UPDATE meta SET value = ? WHERE name = 'flushed'`).run(sequence);
}

function beyond(target: number, last: number): DomainError {
  return new DomainError(
    'SEQUENCE_IN_FUTURE',
    `sequence ${target.toString()} is beyond the last one there is, ${last.toString()}`,
    { metadata: { sequence: target.toString(), newest: last.toString() } },
  );
}
