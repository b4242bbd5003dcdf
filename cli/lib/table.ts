/** Rows of a table by column name. */
export type Row = Readonly<Record<string, unknown>>;

const CELL_CHARS_MAX = 40;
const GAP = '  ';
const WORD = /^[\w:*.@+-]+$/;

/** How a table is laid out. */
export interface TableShape {
  /** Absent: in the order they first appear. */
  readonly columns?: readonly string[];
  /** Columns that are copied from the table, such as ids: never cut. */
  readonly whole?: readonly string[];
}

/** A table for a terminal; long cells are cut. */
export function formatTable(
  rows: readonly Row[],
  { columns, whole = [] }: TableShape = {},
): string {
  const names = columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) =>
    names.map((name) => {
      const text = toText(row[name]);
      return whole.includes(name) ? text : shorten(text);
    }),
  );
  const widths = names.map((name, at) =>
    Math.max(name.length, ...cells.map((row) => row[at]?.length ?? 0)),
  );
  const line = (values: readonly string[]): string =>
    values
      .map((value, at) => value.padEnd(widths[at] ?? 0))
      .join(GAP)
      .trimEnd();
  return [line(names), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join(
    '\n',
  );
}

/** One name and its value a line; absent and empty ones are left out. */
export function formatFields(fields: Row): string {
  const shown = Object.entries(fields)
    .map(([name, value]) => [name, toText(value)] as const)
    .filter(([, text]) => text !== '');
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, text]) => `${name.padEnd(width)}${GAP}${text}`).join('\n');
}

/** A value for a terminal. Control characters would let a document draw on it. */
export function toText(value: unknown): string {
  if (value === undefined) return '';
  // Words, such as scopes, read better without brackets and quotes.
  const areWords = Array.isArray(value) && value.every((one) => WORD.test(String(one)));
  const plain = areWords ? value.join(' ') : value;
  const text = typeof plain === 'string' ? plain : JSON.stringify(plain);
  return text.replaceAll(/\p{Cc}/gu, ' ');
}

function shorten(text: string): string {
  return text.length > CELL_CHARS_MAX ? `${text.slice(0, CELL_CHARS_MAX - 1)}…` : text;
}
