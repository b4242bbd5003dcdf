import { createHash } from 'node:crypto';

import { createStatements, sqliteCode, type Connection, type Sql } from '../database.ts';
import { readFloor } from '../floor.ts';
import { readEnd } from '../log-writer.ts';
import { ENTRY_KIND } from '../../commit/rows.ts';

/** What a file holds, and what is wrong with it. */
export interface CheckedStore {
  readonly epoch: string;
  readonly sequence: number;
  readonly timestampMs: number;
  /** The lowest sequence that can be read. */
  readonly floor: number;
  readonly collections: readonly CheckedCollection[];
  /** In words, each naming the record; empty when all is well. At most 100. */
  readonly problems: readonly string[];
}

/** One collection of users. */
export interface CheckedCollection {
  readonly name: string;
  readonly documents: number;
  readonly bytes: number;
  /** SHA-256 over keys, versions and bodies, by key, in lower-case hex: the same content, the same hash. */
  readonly sha256: string;
}

const PROBLEMS_MAX = 100;
/** Documents are hashed together in pieces of about this many characters. */
const HASHED_CHARS = 64 * 1024;

/** Reads everything: every page, every entry of the log, every document. */
export function checkStore(database: Connection): CheckedStore {
  const sql = createStatements(database);
  const problems: string[] = [];
  const add = (problem: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  guarded('the pages', add, () => {
    const results = database.pragma('integrity_check(20)') as { integrity_check: string }[];
    for (const { integrity_check: text } of results) if (text !== 'ok') add(`the pages: ${text}`);
  });
  const end = readEnd(sql);
  const floor = readFloor(sql).sequence;
  checkLog(sql, floor, add);
  return {
    epoch: String(sql(`SELECT value FROM meta WHERE name = 'epoch'`).pluck().get()),
    ...{ ...end, floor, collections: checkCollections(sql, add), problems },
  };
}

type AddProblem = (problem: string) => void;

/** A page that cannot be decrypted or read throws wherever it is met. */
function guarded(what: string, add: AddProblem, body: () => void): void {
  try {
    body();
  } catch (error) {
    const code = sqliteCode(error) ?? '';
    add(`${what}: ${error instanceof Error ? error.message : String(error)} ${code}`.trim());
  }
}

interface EntryFacts {
  readonly seq: number;
  readonly ts: number;
  readonly first: number;
}

/**
 * The engine reads bodies for what they are without handing each out. It ends a text at a NUL, which
 * `format` shows; whatever it does not take for an object is looked at once more.
 */
const ENTRIES = `SELECT seq, ts, first, CASE WHEN kind <> ${String(ENTRY_KIND.put)} THEN 1
    WHEN json_valid(body) AND octet_length(format('%s', body)) = octet_length(body)
    THEN json_type(body) = 'object' ELSE 0 END
  FROM ver ORDER BY seq`;
const BODY = 'SELECT body FROM ver WHERE seq = ?';

/** Above the floor the log is dense, goes forward in time, and its commits stand together. */
function checkLog(sql: Sql, floor: number, add: AddProblem): void {
  let last: EntryFacts | undefined;
  let expected = floor + 1;
  guarded(`the log after sequence ${String(floor)}`, add, () => {
    const rows = sql(ENTRIES).raw().iterate() as Iterable<[number, number, number, number]>;
    for (const [seq, ts, first, isSound] of rows) {
      const entry = { seq, ts, first };
      if (seq > floor) {
        if (seq !== expected) add(`the log: sequence ${String(expected)} is missing`);
        expected = seq + 1;
        checkEntry(entry, last, add);
      }
      if (isSound === 0 && !isObjectText(sql(BODY).pluck().get(seq))) {
        add(`sequence ${String(seq)}: its body is no JSON object`);
      }
      last = entry;
    }
  });
  if (last !== undefined && expected !== last.seq + 1) {
    add(`the log: cannot be read after sequence ${String(last.seq)}`);
  }
}

function checkEntry(row: EntryFacts, last: EntryFacts | undefined, add: AddProblem): void {
  if (last !== undefined && row.ts < last.ts) {
    add(`sequence ${String(row.seq)}: its time is before that of the entry before it`);
  }
  const startsOrGoesOn = row.first === row.seq || row.first === last?.first;
  if (!startsOrGoesOn) add(`sequence ${String(row.seq)}: its commit is not whole`);
}

const HOLDS = `v.seq IS NOT NULL AND v.kind = ${String(ENTRY_KIND.put)}
  AND v.key = h.key AND v.collection = h.collection`;
const LOST_HEADS = `SELECT h.key, h.seq FROM head h LEFT JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.live = 1 AND NOT (${HOLDS}) LIMIT ${String(PROBLEMS_MAX)}`;
const DOCUMENTS = `SELECT h.key, h.seq, ${HOLDS}, v.version, v.body
  FROM head h LEFT JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.live = 1 ORDER BY h.key`;

interface CollectionFacts {
  readonly id: number;
  readonly name: string;
  readonly documents: number;
  readonly bytes: number;
  readonly retired: number | null;
}

/** Every document points to the entry that holds it, and each collection holds what it counts. */
function checkCollections(sql: Sql, add: AddProblem): readonly CheckedCollection[] {
  const checked: CheckedCollection[] = [];
  guarded('the collections', add, () => {
    for (const row of sql('SELECT * FROM collection ORDER BY name').all() as CollectionFacts[]) {
      const lost = (key: string, seq: number): void => {
        add(`document '${key}' of '${row.name}': sequence ${String(seq)} does not hold it`);
      };
      if (row.retired !== null) {
        const heads = sql(LOST_HEADS).raw().all(row.id) as [string, number][];
        for (const [key, seq] of heads) lost(key, seq);
        continue;
      }
      const found = readCollection(sql, row, lost);
      if (found.documents !== row.documents || found.bytes !== row.bytes) {
        add(
          `collection '${row.name}': counts ${String(row.documents)} documents and ${String(row.bytes)} bytes, holds ${String(found.documents)} and ${String(found.bytes)}`,
        );
      }
      if (!row.name.startsWith('$')) checked.push(found);
    }
  });
  return checked;
}

/** One collection, counted and hashed. */
function readCollection(
  sql: Sql,
  { id, name }: CollectionFacts,
  onLost: (key: string, sequence: number) => void,
): CheckedCollection {
  const hash = createHash('sha256');
  let documents = 0;
  let bytes = 0;
  let text = '';
  const rows = sql(DOCUMENTS).raw().iterate(id) as Iterable<
    readonly [key: string, seq: number, holds: number, version: number, body: string]
  >;
  for (const [key, seq, holds, version, body] of rows) {
    if (holds === 0) {
      onLost(key, seq);
      continue;
    }
    documents += 1;
    bytes += Buffer.byteLength(body);
    text += `${key}\0${String(version)}\0${body}\0`;
    if (text.length < HASHED_CHARS) continue;
    hash.update(text);
    text = '';
  }
  return { name, documents, bytes, sha256: hash.update(text).digest('hex') };
}

function isObjectText(text: unknown): boolean {
  try {
    const value: unknown = JSON.parse(String(text));
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
