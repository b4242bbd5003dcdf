import { randomUUID } from 'node:crypto';

import type { Sql } from '../database.ts';
import { saveHistoryBytes } from '../floor.ts';
import { ENTRY_TABLE } from '../schema.ts';

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
