import { BATCH, columnsOf, keyOf, TABLES } from '../../transfer/rows.ts';
import type { Row, StateReader, StoreEnd, TableName } from '../../transfer/rows.ts';
import { createStatements, type Connection, type Sql } from '../database.ts';
import { readFloor, readHistoryBytes } from '../floor.ts';
import { readEnd } from '../log-writer.ts';
import { assertKnownFormat } from '../schema.ts';

/**
 * Reads the state of a file for the time of some work, whatever a server writes to it meanwhile.
 * ENGINE_UNAVAILABLE for a file of another format than this release reads.
 */
export async function inState<T>(
  database: Connection,
  work: (state: StateReader) => Promise<T>,
): Promise<T> {
  assertKnownFormat(database);
  const sql = createStatements(database);
  sql('BEGIN').run();
  try {
    return await work(stateReader(sql));
  } finally {
    sql('COMMIT').run();
  }
}

function stateReader(sql: Sql): StateReader {
  return {
    end: endOf(sql),
    batch(name, after) {
      const { bulk } = TABLES[name];
      const at = bulk === undefined ? -1 : columnsOf(name).indexOf(bulk);
      const rows = sql(batchText(name, after !== undefined)).raw();
      return Promise.resolve(take(rows.iterate(...(after ?? [])) as Iterable<Row>, at));
    },
  };
}

function endOf(sql: Sql): StoreEnd {
  const { sequence: floor, timestampMs: floorAtMs, prunedTo } = readFloor(sql);
  const epoch = String(sql(`SELECT value FROM meta WHERE name = 'epoch'`).pluck().get());
  return {
    epoch,
    ...readEnd(sql),
    floor,
    floorAtMs,
    prunedTo,
    historyBytes: readHistoryBytes(sql),
  };
}

function batchText(name: TableName, isBehind: boolean): string {
  const key = keyOf(name, columnsOf(name)) ?? [];
  const places = key.map(() => '?').join(', ');
  const where = isBehind ? `WHERE (${key.join(', ')}) > (${places})` : '';
  return `SELECT ${columnsOf(name).join(', ')} FROM ${name} ${where} ORDER BY ${key.join(', ')}`;
}

/** Rows up to a number, and up to the one that passes a size. */
function take(rows: Iterable<Row>, bulk: number): readonly Row[] {
  const taken: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    taken.push(row);
    const cell = row[bulk];
    bytes += typeof cell === 'string' ? Buffer.byteLength(cell) : 0;
    if (taken.length >= BATCH.rows || bytes >= BATCH.bytes) break;
  }
  return taken;
}
