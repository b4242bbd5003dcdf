import { BATCH, columnsOf, keyOf, TABLE_NAMES, TABLES } from '../transfer/rows.ts';
import type { Cell, Row, StateReader, StoreEnd, TableName } from '../transfer/rows.ts';
import { readClock, type ClockRow } from './clock-row.ts';
import type { Connection } from './connections.ts';

type NamedRow = Readonly<Record<string, Cell>>;

/** How long the transaction of a copy may wait for whoever writes it. */
const IDLE_MS = 60_000;

/** Reads a state of the database. */
export interface DatabaseReader extends StateReader {
  /** All of it was on stable storage when it was opened. */
  readonly isDurable: boolean;
}

/** Reads the state that the open transaction of a connection sees. */
export async function createStateReader(connection: Connection): Promise<DatabaseReader> {
  await connection.command(`SET LOCAL idle_in_transaction_session_timeout TO ${String(IDLE_MS)}`);
  const clock = await readClock(connection);
  return {
    ...{ end: endOf(clock), isDurable: clock.durable_seq >= clock.seq },
    async batch(name, after) {
      const text = after === undefined ? FIRST[name] : NEXT[name];
      const rows = await connection.rows<NamedRow>(text, after ?? []);
      return cellsOf(columnsOf(name), rows);
    },
  };
}

/** Where the store ends, as its clock has it. */
function endOf(clock: ClockRow): StoreEnd {
  const { epoch, seq: sequence, ts: timestampMs, floor } = clock;
  return {
    ...{ epoch, sequence, timestampMs, floor, floorAtMs: clock.floor_at },
    ...{ prunedTo: clock.pruned_to, historyBytes: clock.history_bytes },
  };
}

function cellsOf(columns: readonly string[], rows: readonly NamedRow[]): readonly Row[] {
  return rows.map((row) => columns.map((name) => row[name] ?? null));
}

const FIRST = mapTables((name) => batchText(name, ''));
const NEXT = mapTables((name) => {
  const key = keyOf(name, columnsOf(name)) ?? [];
  return batchText(name, `WHERE (${key.join(', ')}) > (${key.map(place).join(', ')})`);
});

function mapTables(textOf: (name: TableName) => string): Readonly<Record<TableName, string>> {
  // One entry per table.
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, textOf(name)])) as Record<
    TableName,
    string
  >;
}

function batchText(name: TableName, where: string): string {
  const { bulk } = TABLES[name];
  const columns = columnsOf(name).join(', ');
  const order = (keyOf(name, columnsOf(name)) ?? []).join(', ');
  return bounded({ columns, order, bulk, from: `${name} ${where}` });
}

/** Rows up to a number, and up to the one that passes a size. */
function bounded(asked: {
  readonly columns: string;
  readonly from: string;
  readonly order: string;
  readonly bulk: string | undefined;
}): string {
  const { columns, from, order, bulk } = asked;
  const rows = `SELECT ${columns} FROM ${from} ORDER BY ${order} LIMIT ${String(BATCH.rows)}`;
  if (bulk === undefined) return rows;
  const size = `coalesce(octet_length(${bulk}), 0)`;
  return `SELECT ${columns} FROM (
      SELECT *, sum(${size}) OVER (ORDER BY ${order}) - ${size} AS before FROM (${rows}) r
    ) s WHERE before < ${String(BATCH.bytes)} ORDER BY ${order}`;
}

function place(_name: unknown, index: number): string {
  return `$${String(index + 1)}`;
}
