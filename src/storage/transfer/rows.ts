/**
 * Whole stores on their way from one engine to another, as rows. Engines whose log is their store keep the
 * same tables with the same columns, so that a copy is exact: sequences, times, versions, history, access,
 * settings. Entries of indexes are left out, because whoever opens the copy builds them anew.
 *
 * An engine offers a StateReader, which reads one committed state, and a StoreTarget, which takes rows.
 * Nothing here knows either engine; all is read and written in batches of bounded size.
 */

import { DomainError } from '../../errors/domain-error.ts';

/** A value of a column. */
export type Cell = number | string | null;

/** The values of a row, in the order of the columns of its table. */
export type Row = readonly Cell[];

/** A column, and whether its values are whole numbers or text. */
export interface Column {
  readonly name: string;
  readonly type: 'bigint' | 'smallint' | 'text';
}

/** A table that is copied. */
export interface Table {
  /** Those of the key first, in its order. */
  readonly columns: readonly Column[];
  /** How many of them are the key. */
  readonly keyColumns: number;
  /** The column that may be large; undefined: none is. */
  readonly bulk: string | undefined;
}

/** The name of a table that is copied. */
export type TableName = 'ver' | 'head' | 'collection' | 'idx' | 'request';

/** The tables that a store consists of. */
export const TABLES: Readonly<Record<TableName, Table>> = {
  ver: table(
    'seq ts first kind:smallint collection key:text version previous created_seq created_at expires_at cause:smallint body:text',
    { keyColumns: 1, bulk: 'body' },
  ),
  head: table('collection key:text seq live:smallint created_seq expires_at', {
    ...{ keyColumns: 2, bulk: undefined },
  }),
  collection: table(
    'id name:text uid:text revision documents_max rules:text documents bytes created_at last_put_at born retired settings_seq',
    { keyColumns: 1, bulk: 'rules' },
  ),
  idx: table(
    'id collection name:text fields:text is_unique:smallint state:text documents_done built_to:text failure:text created_at',
    { keyColumns: 1, bulk: undefined },
  ),
  request: table('principal:text id:text fingerprint:text at answer:text', {
    ...{ keyColumns: 2, bulk: 'answer' },
  }),
};

/** All of them. */
export const TABLE_NAMES: readonly TableName[] = ['ver', 'head', 'collection', 'idx', 'request'];

/** Of every batch: rows at most, and bytes of its bulk after which no further row is taken. */
export const BATCH: { readonly rows: number; readonly bytes: number } = {
  rows: 2000,
  bytes: 4 * 1024 * 1024,
};

/** Where a store ends and how far back it reaches: what it knows beside its rows. */
export interface StoreEnd {
  readonly epoch: string;
  readonly sequence: number;
  readonly timestampMs: number;
  readonly floor: number;
  readonly floorAtMs: number;
  /** What only states below the floor need has been removed up to here. */
  readonly prunedTo: number;
  readonly historyBytes: number;
}

/** Reads one committed state, however long it takes and whatever is written meanwhile. */
export interface StateReader {
  readonly end: StoreEnd;
  /** The rows behind a key, in the order of keys; none at the end. */
  batch(table: TableName, after: Row | undefined): Promise<readonly Row[]>;
}

/** Takes rows. */
export interface StoreTarget {
  /** Rows of `head` may replace others; of all other tables they are new. */
  insert(table: TableName, rows: readonly Row[]): Promise<void>;
}

/** Copies what a table holds behind a key. The next batch is read while one is written. */
export async function copyTable(
  { from, to }: { readonly from: StateReader; readonly to: StoreTarget },
  name: TableName,
  options: {
    readonly after?: Row;
    readonly signal?: AbortSignal | undefined;
    readonly onRows?: (rows: readonly Row[]) => Promise<void> | void;
  } = {},
): Promise<void> {
  const { signal, onRows } = options;
  for (let next = from.batch(name, options.after); ;) {
    const rows = await next;
    assertWanted(signal);
    if (rows.length === 0) return;
    next = from.batch(name, keyOf(name, rows.at(-1)));
    // Told where it is awaited, unless what comes before it fails.
    next.catch(() => undefined);
    await to.insert(name, rows);
    await onRows?.(rows);
  }
}

/** CANCELED when the signal has aborted. */
export function assertWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new DomainError('CANCELED', 'the copy was canceled');
}

/** The key of a row. */
export function keyOf(name: TableName, row: Row | undefined): Row | undefined {
  return row?.slice(0, TABLES[name].keyColumns);
}

/** The names of the columns of a table. */
export function columnsOf(name: TableName): readonly string[] {
  return TABLES[name].columns.map((column) => column.name);
}

/** Columns in words: a name is of whole numbers of 64 bits, unless it says otherwise. */
function table(text: string, rest: Omit<Table, 'columns'>): Table {
  const columns = text.split(' ').map((word): Column => {
    const [name = '', type = 'bigint'] = word.split(':');
    return { name, type: type as Column['type'] };
  });
  return { columns, ...rest };
}
