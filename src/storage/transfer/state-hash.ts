import { createHash, type Hash } from 'node:crypto';

import { keyOf, type Row, type StateReader, type TableName } from './rows.ts';

/** What a store holds, in hashes that are equal for equal rows, whatever engine keeps them. */
export interface StateHash {
  readonly sequence: number;
  /** Collections of users, by name. */
  readonly collections: readonly CollectionHash[];
  readonly logEntries: number;
  /** Over every entry of the log, bodies, versions and times included. */
  readonly logSha256: string;
  /** SHA-256 in lower-case hex, over all there is: also settings, access and audit. */
  readonly sha256: string;
}

/** What one collection holds. */
export interface CollectionHash {
  readonly name: string;
  readonly documents: number;
  /** Over key, sequence and expiry of each document, by key. The log says what each sequence wrote. */
  readonly sha256: string;
}

/** A hash over rows, in their order, that goes on as there are more. */
export class RowsHash {
  readonly #hash = createHash('sha256');
  rows = 0;
  /** The key of the last one; undefined: there was none. */
  last: Row | undefined;

  readonly #name: TableName;

  constructor(name: TableName) {
    this.#name = name;
  }

  add(rows: readonly Row[]): void {
    for (const row of rows) add(this.#hash, row);
    this.rows += rows.length;
    this.last = keyOf(this.#name, rows.at(-1)) ?? this.last;
  }

  /** Adds what a state holds behind the last row. */
  async addFrom(reader: StateReader): Promise<void> {
    for (;;) {
      const rows = await reader.batch(this.#name, this.last);
      if (rows.length === 0) return;
      this.add(rows);
    }
  }

  sha256(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** Columns of `collection`. */
const [ID, NAME, RETIRED] = [0, 1, 11];
/** Columns of `idx` that declare; how far it is built is left aside. */
const DECLARED = [0, 1, 2, 3, 4, 9];

/** Reads all of a state but its log, whose hash is known, and which says what every sequence wrote. */
export async function hashState(reader: StateReader, log: RowsHash): Promise<StateHash> {
  const whole = createHash('sha256');
  const live: { readonly id: number; readonly name: string }[] = [];
  for await (const row of rowsOf(reader, 'collection')) {
    add(whole, row);
    if (row[RETIRED] === null) live.push({ id: Number(row[ID]), name: String(row[NAME]) });
  }
  for await (const row of rowsOf(reader, 'idx')) {
    add(
      whole,
      DECLARED.map((at) => row[at] ?? null),
    );
  }
  for await (const row of rowsOf(reader, 'request')) add(whole, row);
  const collections: CollectionHash[] = [];
  for (const { id, name } of live.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const found = { name, ...(await hashDocuments(reader, id)) };
    add(whole, [name, found.documents, found.sha256]);
    if (!name.startsWith('$')) collections.push(found);
  }
  const logSha256 = log.sha256();
  add(whole, [logSha256]);
  return {
    ...{ sequence: reader.end.sequence, collections, logEntries: log.rows, logSha256 },
    sha256: whole.digest('hex'),
  };
}

async function* rowsOf(reader: StateReader, name: TableName, behind?: Row): AsyncIterable<Row> {
  for (let after = behind; ;) {
    const rows = await reader.batch(name, after);
    if (rows.length === 0) return;
    yield* rows;
    after = keyOf(name, rows.at(-1));
  }
}

async function hashDocuments(
  reader: StateReader,
  collection: number,
): Promise<Omit<CollectionHash, 'name'>> {
  const hash = createHash('sha256');
  let documents = 0;
  // No key is empty.
  for await (const row of rowsOf(reader, 'head', [collection, ''])) {
    const [owner, key = '', sequence = 0, live, created = 0, expiresAt = null] = row;
    if (owner !== collection) break;
    if (live !== 1) continue;
    add(hash, [key, sequence, created, expiresAt]);
    documents += 1;
  }
  return { documents, sha256: hash.digest('hex') };
}

/** Unambiguous: JSON tells where each cell ends. */
function add(hash: Hash, row: Row): void {
  hash.update(`${JSON.stringify(row)}\n`);
}
