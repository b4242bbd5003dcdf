import type { Changes } from './working-set.ts';

/** A statement to be sent. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A column of a table that many rows are written to at once. */
interface Column<T> {
  readonly name: string;
  readonly type: 'bigint' | 'smallint' | 'text' | 'bytea';
  readonly of: (row: T) => unknown;
}

/** The statements that write what a group changed, in their order. */
export function statementsOf(changes: Changes): readonly Statement[] {
  return [
    ...saveCollections(changes),
    ...saveIndexes(changes),
    ...insert('ver', LOG_COLUMNS, changes.log),
    ...upsert('head', HEAD_COLUMNS, {
      rows: [...changes.heads.values()],
      key: ['collection', 'key'],
      kept: [],
    }),
    ...saveEntries(changes),
    ...insert('request', ANSWER_COLUMNS, changes.answers),
  ];
}

function saveCollections({ collections }: Changes): readonly Statement[] {
  // Those that end first: of one name only one may live.
  const rows = [...collections.values()].sort(
    (a, b) => Number(a.retired === null) - Number(b.retired === null) || a.row.id - b.row.id,
  );
  return upsert('collection', COLLECTION_COLUMNS, { rows, key: ['id'], kept: ['born', 'name'] });
}

function saveIndexes({ indexes, deletedIndexes }: Changes): readonly Statement[] {
  const deleted = [...deletedIndexes];
  const rows = [...indexes.values()].filter(({ id }) => !deletedIndexes.has(id));
  const gone =
    deleted.length === 0
      ? []
      : [
          { text: 'DELETE FROM idx WHERE id = ANY($1::bigint[])', values: [deleted] },
          ...insert('retired_idx', [column<number>('id', 'bigint', (id) => id)], deleted),
        ];
  return [...gone, ...upsert('idx', INDEX_COLUMNS, { rows, key: ['id'], kept: [] })];
}

function saveEntries({ entries }: Changes): readonly Statement[] {
  const all = [...entries.values()];
  const gone = all.filter(({ isThere }) => !isThere);
  const come = all.filter(({ isThere }) => isThere);
  const remove: Statement = {
    text: `DELETE FROM entry e USING unnest(${placeholders(ENTRY_COLUMNS)}) AS gone (idx, value, key)
      WHERE e.idx = gone.idx AND e.value = gone.value AND e.key = gone.key`,
    values: arraysOf(ENTRY_COLUMNS, gone),
  };
  const add = insert('entry', ENTRY_COLUMNS, come).map(({ text, values }) => ({
    ...{ text: `${text} ON CONFLICT DO NOTHING`, values },
  }));
  return gone.length === 0 ? add : [remove, ...add];
}

function insert<T>(
  table: string,
  columns: readonly Column<T>[],
  rows: readonly T[],
): readonly Statement[] {
  if (rows.length === 0) return [];
  const names = columns.map(({ name }) => name).join(', ');
  const text = `INSERT INTO ${table} (${names}) SELECT * FROM unnest(${placeholders(columns)})`;
  return [{ text, values: arraysOf(columns, rows) }];
}

interface Upsert<T> {
  readonly rows: readonly T[];
  readonly key: readonly string[];
  /** Columns that stay as they are in rows that are there. */
  readonly kept: readonly string[];
}

function upsert<T>(
  table: string,
  columns: readonly Column<T>[],
  { rows, key, kept }: Upsert<T>,
): readonly Statement[] {
  const changing = columns.filter(({ name }) => !key.includes(name) && !kept.includes(name));
  const set = changing.map(({ name }) => `${name} = excluded.${name}`).join(', ');
  return insert(table, columns, rows).map(({ text, values }) => ({
    text: `${text} ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${set}`,
    values,
  }));
}

function placeholders<T>(columns: readonly Column<T>[]): string {
  return columns.map(({ type }, at) => `$${(at + 1).toString()}::${type}[]`).join(', ');
}

function arraysOf<T>(columns: readonly Column<T>[], rows: readonly T[]): readonly unknown[] {
  return columns.map(({ of }) => rows.map(of));
}

function column<T>(name: string, type: Column<T>['type'], of: Column<T>['of']): Column<T> {
  return { name, type, of };
}

/** Columns that are named as the members of the row. */
function members<T>(types: { readonly [K in keyof T & string]: Column<T>['type'] }): Column<T>[] {
  return Object.entries<Column<T>['type']>(types).map(([name, type]) =>
    column<T>(name, type, (row) => row[name as keyof T]),
  );
}

const LOG_COLUMNS = members<Changes['log'][number]>({
  ...{ seq: 'bigint', ts: 'bigint', first: 'bigint', kind: 'smallint', collection: 'bigint' },
  ...{ key: 'text', version: 'bigint', previous: 'bigint', created_seq: 'bigint' },
  ...{ created_at: 'bigint', expires_at: 'bigint', cause: 'smallint', body: 'text' },
});
type ValueOf<M> = M extends ReadonlyMap<unknown, infer V> ? V : never;
const HEAD_COLUMNS = members<ValueOf<Changes['heads']>>({
  ...{ collection: 'bigint', key: 'text', seq: 'bigint', live: 'smallint' },
  ...{ created_seq: 'bigint', expires_at: 'bigint' },
});
const INDEX_COLUMNS = members<ValueOf<Changes['indexes']>>({
  ...{ id: 'bigint', collection: 'bigint', name: 'text', fields: 'text', is_unique: 'smallint' },
  ...{ state: 'text', documents_done: 'bigint', built_to: 'text', failure: 'text' },
  created_at: 'bigint',
});
type Changed = ValueOf<Changes['collections']>;
const COLLECTION_COLUMNS: readonly Column<Changed>[] = [
  column('id', 'bigint', ({ row }) => row.id),
  column('name', 'text', ({ row }) => row.name),
  column('uid', 'text', ({ row }) => row.uid),
  column('revision', 'bigint', ({ row }) => row.revision),
  column('documents_max', 'bigint', ({ row }) => row.documents_max),
  column('rules', 'text', ({ row }) => row.rules),
  column('documents', 'bigint', ({ row }) => row.documents),
  column('bytes', 'bigint', ({ row }) => row.bytes),
  column('created_at', 'bigint', ({ row }) => row.created_at),
  column('last_put_at', 'bigint', ({ row }) => row.last_put_at),
  column('settings_seq', 'bigint', ({ row }) => row.settings_seq),
  column('born', 'bigint', ({ born }) => born),
  column('retired', 'bigint', ({ retired }) => retired),
];
const ENTRY_COLUMNS: readonly Column<ValueOf<Changes['entries']>>[] = [
  column('idx', 'bigint', ({ index }) => index),
  column('value', 'bytea', ({ value }) => value),
  column('key', 'text', ({ key }) => key),
];
const ANSWER_COLUMNS = members<Changes['answers'][number]>({
  ...{ principal: 'text', id: 'text', fingerprint: 'text', at: 'bigint', answer: 'text' },
});
