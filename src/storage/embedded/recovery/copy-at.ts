import type { CollectionSettings } from '../../types.ts';
import { cipherOf, createStatements, type Connection, type Sql } from '../database.ts';
import { assertKept } from '../floor.ts';
import { attachSource } from '../page-cipher.ts';

/** What is copied, and as it was when. */
export interface CopyAtRequest {
  readonly file: string;
  /** 64 hex digits, of both files. Absent: cleartext. */
  readonly dataKey: string | undefined;
  readonly sequence: number;
}

/** What is not taken along: indexes are built anew, and answers belong to the timeline that ends. */
const LEFT_EMPTY: readonly string[] = ['entry', 'request'];
/** Copied in part, after everything else. */
const LOG = 'ver';

const SCHEMA = `SELECT type, name, sql FROM source.sqlite_schema
  WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type <> 'table'`;
const COPY_LOG = 'INSERT INTO main.ver SELECT * FROM source.ver WHERE seq <= ?';
/** The first later entry of a key names the one that was current, which is in the copy. */
const RESTORE_HEADS = `INSERT INTO main.head (collection, key, seq, live, created_seq, expires_at)
  SELECT later.collection, later.key, prior.seq, prior.kind = 1, prior.created_seq,
    CASE prior.kind WHEN 1 THEN prior.expires_at END
  FROM source.ver later CROSS JOIN main.ver prior ON prior.seq = later.previous
  WHERE later.seq > :at AND later.previous <= :at AND later.kind IN (1, 2)
  ON CONFLICT DO UPDATE SET (seq, live, created_seq, expires_at) =
    (excluded.seq, excluded.live, excluded.created_seq, excluded.expires_at)`;
/** A clear moved the indexes to a new incarnation, which goes; the old one gets them back. */
const RETURN_INDEXES = `UPDATE idx SET collection = (
    SELECT old.id FROM collection old JOIN collection new ON new.uid = old.uid
    WHERE new.id = idx.collection AND old.born <= :at AND (old.retired IS NULL OR old.retired > :at))
  WHERE collection IN (
    SELECT new.id FROM collection new JOIN collection old ON new.uid = old.uid
    WHERE new.born > :at AND old.born <= :at AND (old.retired IS NULL OR old.retired > :at))`;

/**
 * Fills the open, empty file of a connection with what another one held at a sequence: what was written
 * later is as if it had never been. What could not be brought back as it was is returned, in words.
 * SEQUENCE_COMPACTED when the file does not reach back that far.
 *
 * The other file, which has the same key, is only read. Somebody must have it open for reading the while:
 * the last to close it, when it may write, would work its write-ahead log into it.
 */
export function copyAt(
  database: Connection,
  { file, dataKey, sequence }: CopyAtRequest,
): readonly string[] {
  if (dataKey === undefined) database.prepare('ATTACH ? AS source').run(file);
  else attachSource(database, { file, dataKey, cipher: cipherOf(file, dataKey) });
  // Not IMMEDIATE, which would lock the other file against its writer.
  database.exec('BEGIN');
  const sql = createStatements(database);
  copyTables(database, sql);
  assertKept(sql, sequence);
  sql(COPY_LOG).run(sequence);
  sql(RESTORE_HEADS).run({ at: sequence });
  sql('DELETE FROM head WHERE seq > ?').run(sequence);
  const notes = [...rewindCollections(sql, sequence), ...rewindSettings(sql, sequence)];
  database.exec('COMMIT');
  database.exec('DETACH source');
  return notes;
}

interface SchemaRow {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

/** Tables first, and with their indexes still empty, which lets SQLite copy both as they are. */
function copyTables(database: Connection, sql: Sql): void {
  const rows = sql(SCHEMA).all() as SchemaRow[];
  for (const row of rows) database.exec(row.sql);
  const tables = rows.filter(({ type }) => type === 'table').map(({ name }) => name);
  for (const name of ['sqlite_sequence', ...tables]) {
    if (name === LOG || LEFT_EMPTY.includes(name)) continue;
    database.exec(`INSERT INTO main."${name}" SELECT * FROM source."${name}"`);
  }
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
    const entry = sql('SELECT seq, previous, body FROM source.ver WHERE seq = ?').get(at) as
      SettingsEntry | undefined;
    if (entry === undefined || entry.seq <= target) return entry;
    at = entry.previous;
  }
  return undefined;
}
