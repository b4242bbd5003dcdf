import { DOCUMENT_COLUMNS, type DocumentRow } from '../commit/rows.ts';
import type { Access, EncodedRange, KeyRange } from '../query/plan.ts';
import { BATCH_MIN, nextBatch } from './batch.ts';
import type { Connection } from './connections.ts';
import type { Statement } from './save.ts';
import type { DocumentSource } from './source.ts';

type AccessOf<K extends Access['kind']> = Extract<Access, { readonly kind: K }>;

/** What is walked. */
export interface Walk {
  readonly collection: number;
  /** The id of the index of the access. */
  readonly index: number | undefined;
  readonly access: AccessOf<'scan'> | AccessOf<'index'>;
}

/** Takes a value for a statement and says where it stands in it. */
type Place = (value: unknown) => string;

/** Makes a statement of a text that places its values. */
function statementOf(text: (place: Place) => string): Statement {
  const values: unknown[] = [];
  const placed = text((value) => `$${values.push(value).toString()}`);
  return { text: placed, values };
}

/**
 * The rows of a walk, in its order, in batches that grow as long as bodies are small. Each batch goes on
 * behind the last row of the one before, so that nothing is held open but the snapshot.
 */
export async function* walk(
  connection: Connection,
  source: DocumentSource,
  { collection, index, access }: Walk,
): AsyncIterable<readonly DocumentRow[]> {
  if (access.kind === 'index') {
    if (index === undefined) return;
    for (const range of access.ranges) {
      yield* batches(connection, (after, limit) =>
        indexStatement(source, { collection, index, range, access }, { after, limit }),
      );
    }
    return;
  }
  if (access.ranges.length === 0) return;
  if (access.by === 'insertion') {
    yield* batches(connection, (after, limit) =>
      insertionStatement(source, { collection, access }, { after, limit }),
    );
    return;
  }
  for (const range of access.ranges) {
    yield* batches(connection, (after, limit) =>
      keyStatement(source, { collection, range, reverse: access.reverse }, { after, limit }),
    );
  }
}

interface WalkedRow extends DocumentRow {
  /** With an index: the entry. */
  readonly value?: Buffer;
}

interface Page {
  readonly after: WalkedRow | undefined;
  readonly limit: number;
}

async function* batches(
  connection: Connection,
  statement: (after: WalkedRow | undefined, limit: number) => Statement,
): AsyncIterable<readonly DocumentRow[]> {
  let after: WalkedRow | undefined;
  for (let limit = BATCH_MIN; ;) {
    const { text, values } = statement(after, limit);
    const rows = await connection.rows<WalkedRow>(text, values);
    if (rows.length > 0) yield rows;
    if (rows.length < limit) return;
    after = rows.at(-1);
    limit = nextBatch(rows);
  }
}

function keyStatement(
  { from, where }: DocumentSource,
  at: { readonly collection: number; readonly range: KeyRange; readonly reverse: boolean },
  { after, limit }: Page,
): Statement {
  return statementOf((place) => {
    const behind = at.reverse ? '<' : '>';
    const later = after === undefined ? '' : `AND h.key ${behind} ${place(after.key)}`;
    return `SELECT ${DOCUMENT_COLUMNS} FROM ${from}
      WHERE h.collection = ${place(at.collection)} AND ${within(at.range, place)} ${later} AND ${where}
      ORDER BY h.key ${at.reverse ? 'DESC' : 'ASC'} LIMIT ${place(limit)}`;
  });
}

function within(range: KeyRange, place: Place): string {
  if (range.kind === 'key') return `h.key = ${place(range.key)}`;
  const above = `h.key >= ${place(range.lower)}`;
  return range.upper === undefined ? above : `(${above} AND h.key < ${place(range.upper)})`;
}

function insertionStatement(
  { from }: DocumentSource,
  { collection, access }: { readonly collection: number; readonly access: AccessOf<'scan'> },
  { after, limit }: Page,
): Statement {
  const { reverse, fromCreated, ranges } = access;
  return statementOf((place) => {
    const start =
      fromCreated === undefined
        ? ''
        : `AND h.created_seq ${reverse ? '<' : '>='} ${place(Number(fromCreated))}`;
    const later =
      after === undefined
        ? ''
        : `AND h.created_seq ${reverse ? '<' : '>'} ${place(after.created_seq)}`;
    return `SELECT ${DOCUMENT_COLUMNS} FROM ${from}
      WHERE h.collection = ${place(collection)} AND h.live = 1 ${start} ${later}
        AND (${ranges.map((range) => within(range, place)).join(' OR ')})
      ORDER BY h.created_seq ${reverse ? 'DESC' : 'ASC'} LIMIT ${place(limit)}`;
  });
}

interface IndexWalk {
  readonly collection: number;
  readonly index: number;
  readonly range: EncodedRange;
  readonly access: AccessOf<'index'>;
}

/**
 * By entry; equal entries by key, ascending in both directions. Documents are looked up one by one: of a
 * collection that has just grown the planner expects one document, and would walk all of it for every entry.
 */
function indexStatement(
  { from, where }: DocumentSource,
  { collection, index, range, access }: IndexWalk,
  { after, limit }: Page,
): Statement {
  const { reverse, afterKey } = access;
  const behind = reverse ? '<' : '>';
  return statementOf((place) => {
    const bounds = [
      `e.idx = ${place(index)}`,
      `e.value >= ${place(range.lower)}`,
      ...(range.upper === undefined ? [] : [`e.value < ${place(range.upper)}`]),
      ...(afterKey === undefined ? [] : [`e.key > ${place(afterKey)}`]),
    ];
    if (after?.value !== undefined) {
      const [value, key] = [place(after.value), place(after.key)];
      // The first bounds the walk of the index, the second goes on between equal entries.
      bounds.push(`e.value ${behind}= ${value}`, `(e.value ${behind} ${value} OR e.key > ${key})`);
    }
    return `SELECT e.value, ${DOCUMENT_COLUMNS} FROM entry e CROSS JOIN LATERAL (
        SELECT ${DOCUMENT_COLUMNS} FROM ${from}
        WHERE h.collection = ${place(collection)} AND h.key = e.key AND ${where} LIMIT 1
      ) v
      WHERE ${bounds.join(' AND ')}
      ORDER BY e.value ${reverse ? 'DESC' : 'ASC'}, e.key ASC LIMIT ${place(limit)}`;
  });
}
