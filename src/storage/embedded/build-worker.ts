import { parentPort, workerData } from 'node:worker_threads';

import { invariant } from '../../errors/invariant.ts';
import type { Refusal } from '../commit/operations.ts';
import { HISTORY_BYTES, REBUILD_INDEXES } from '../commit/statements.ts';
import { columnsOf, type Row, type StoreEnd, type TableName } from '../transfer/rows.ts';
import { readSoundContent, type StoreContent } from './content.ts';
import { createStatements, openConnection } from './database.ts';
import { saveFloor, saveHistoryBytes } from './floor.ts';
import type { StoreAccess } from './protocol.ts';
import { toRefusal } from './refusal.ts';
import { prepareSchema } from './schema.ts';

/** What a thread that builds a file is told; it answers each in turn. */
export type BuildTask =
  | { readonly kind: 'insert'; readonly table: TableName; readonly rows: readonly Row[] }
  /** Removes what belongs to collections that are not there; answers the bytes that only the past needs. */
  | { readonly kind: 'tidy' }
  /** Lets others read what is there. */
  | { readonly kind: 'flush' }
  /** The last one: writes where the store ends. */
  | { readonly kind: 'finish'; readonly end: StoreEnd; readonly isCheckNeeded: boolean };

/** What it answers. */
export type BuildReply =
  | { readonly kind: 'done'; readonly result: StoreContent | number | undefined }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const port = parentPort;
invariant(port !== null, 'a file is built in a worker thread');
// Set by builder.ts, the only place that starts this file.
const access = workerData as StoreAccess;
const database = openConnection({ ...access, access: 'write' });
const sql = createStatements(database);
prepareSchema(database);
// What fails is thrown away whole, and what succeeds is flushed before it gets its name.
database.pragma('journal_mode = OFF');
database.pragma('synchronous = OFF');
sql('BEGIN').run();
port.on('message', (task: BuildTask) => {
  port.postMessage(replyTo(task));
});

function replyTo(task: BuildTask): BuildReply {
  try {
    return { kind: 'done', result: run(task) };
  } catch (error) {
    return { kind: 'refused', refusal: toRefusal(error) };
  }
}

function run(task: BuildTask): StoreContent | number | undefined {
  switch (task.kind) {
    case 'insert':
      insert(task.table, task.rows);
      return undefined;
    case 'tidy':
      for (const table of ['ver', 'head']) {
        sql(`DELETE FROM ${table} WHERE collection NOT IN (SELECT id FROM collection)`).run();
      }
      return Number(sql(HISTORY_BYTES).pluck().get());
    case 'flush':
      sql('COMMIT').run();
      sql('BEGIN').run();
      return undefined;
    case 'finish':
      finish(task.end);
      return task.isCheckNeeded ? readSoundContent(access) : undefined;
  }
}

function insert(table: TableName, rows: readonly Row[]): void {
  const columns = columnsOf(table);
  const places = columns.map(() => '?').join(', ');
  const verb = table === 'head' ? 'INSERT OR REPLACE' : 'INSERT';
  const statement = sql(`${verb} INTO ${table} (${columns.join(', ')}) VALUES (${places})`);
  for (const row of rows) statement.run(...row);
}

function finish({ epoch, sequence, floor, floorAtMs, prunedTo, historyBytes }: StoreEnd): void {
  // Their entries were left behind.
  sql(REBUILD_INDEXES).run();
  sql(`UPDATE meta SET value = ? WHERE name = 'epoch'`).run(epoch);
  sql(`UPDATE meta SET value = ? WHERE name = 'flushed'`).run(sequence);
  saveFloor(sql, { sequence: floor, timestampMs: floorAtMs, prunedTo });
  saveHistoryBytes(sql, historyBytes);
  sql('COMMIT').run();
  // One file, with nothing beside it.
  database.pragma('journal_mode = DELETE');
  database.close();
}
