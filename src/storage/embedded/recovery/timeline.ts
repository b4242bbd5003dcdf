import { randomUUID } from 'node:crypto';

import { HISTORY_BYTES, REBUILD_INDEXES } from '../../commit/statements.ts';
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
  saveHistoryBytes(sql, Number(sql(HISTORY_BYTES).pluck().get()));
  sql('DROP TABLE entry').run();
  sql(ENTRY_TABLE).run();
  sql(REBUILD_INDEXES).run();
  sql(`UPDATE meta SET value = ? WHERE name = 'epoch'`).run(randomUUID());
  sql(`UPDATE meta SET value = ? WHERE name = 'flushed'`).run(sequence);
}
