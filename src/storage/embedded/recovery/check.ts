import { createHash } from 'node:crypto';

import { createStatements, sqliteCode, type Connection, type Sql } from '../database.ts';
import { readFloor } from '../floor.ts';
import { readEnd } from '../log-writer.ts';

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
  const floor = readFloor(sql);
  checkLog(sql, add);
  checkHeads(sql, add);
  return {
    epoch: String(sql(`SELECT value FROM meta WHERE name = 'epoch'`).pluck().get()),
    ...{ ...end, floor: floor.sequence, collections: checkCollections(sql, add), problems },
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
  readonly kind: number;
  readonly body: string | null;
}

/** Above the floor the log is dense, goes forward in time, and its commits stand together. */
function checkLog(sql: Sql, add: AddProblem): void {
  const floor = readFloor(sql).sequence;
  let last: EntryFacts | undefined;
  let expected = floor + 1;
  guarded(`the log after sequence ${String(floor)}`, add, () => {
    const rows = sql('SELECT seq, ts, first, kind, body FROM ver ORDER BY seq').iterate();
    for (const row of rows as Iterable<EntryFacts>) {
      if (row.seq > floor) {
        if (row.seq !== expected) add(`the log: sequence ${String(expected)} is missing`);
        expected = row.seq + 1;
        checkEntry(row, last, add);
      }
      if (row.kind === 1 && !isObjectText(row.body)) {
        add(`sequence ${String(row.seq)}: its body is no JSON object`);
      }
      last = row;
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

const LOST_HEADS = `SELECT c.name, h.key, h.seq FROM head h
  JOIN collection c ON c.id = h.collection LEFT JOIN ver v ON v.seq = h.seq
  WHERE h.live = 1 AND (v.seq IS NULL OR v.kind <> 1 OR v.key <> h.key OR v.collection <> h.collection)
  LIMIT 100`;

/** Every document points to the entry that holds it. */
function checkHeads(sql: Sql, add: AddProblem): void {
  guarded('the documents', add, () => {
    for (const { name, key, seq } of sql(LOST_HEADS).all() as {
      readonly name: string;
      readonly key: string;
      readonly seq: number;
    }[]) {
      add(`document '${key}' of '${name}': sequence ${String(seq)} does not hold it`);
    }
  });
}

interface CollectionFacts {
  readonly id: number;
  readonly name: string;
  readonly documents: number;
  readonly bytes: number;
}

const DOCUMENTS = `SELECT v.key, v.version, v.body FROM head h CROSS JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.live = 1 ORDER BY h.key`;

function checkCollections(sql: Sql, add: AddProblem): readonly CheckedCollection[] {
  const checked: CheckedCollection[] = [];
  guarded('the collections', add, () => {
    const rows = sql('SELECT * FROM collection WHERE retired IS NULL ORDER BY name').all();
    for (const row of rows as CollectionFacts[]) {
      const found = readCollection(sql, row);
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
function readCollection(sql: Sql, { id, name }: CollectionFacts): CheckedCollection {
  const hash = createHash('sha256');
  let documents = 0;
  let bytes = 0;
  for (const row of sql(DOCUMENTS).iterate(id) as Iterable<{
    readonly key: string;
    readonly version: number;
    readonly body: string;
  }>) {
    documents += 1;
    bytes += Buffer.byteLength(row.body);
    hash.update(`${row.key}\0${String(row.version)}\0${row.body}\0`);
  }
  return { name, documents, bytes, sha256: hash.digest('hex') };
}

function isObjectText(text: string | null): boolean {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
