/**
 * One committed state of the store, as a snapshot of the database sees it: the newest, or one of the
 * past. Both offer the same, so that queries do not know which they read.
 */
import { indexOf, documentOf, type DocumentRow, type IndexRow } from '../commit/rows.ts';
import type { EncodedRange, Plan } from '../query/plan.ts';
import type { IndexRecord, StoredDocument } from '../types.ts';
import type { ReadOptions } from '../engine.ts';
import { readableSequence, type Snapshot } from './snapshot.ts';
import { currentSource, pastSource, type DocumentSource } from './source.ts';
import { walk } from './walk.ts';

/** A state to read from; valid while its snapshot is open. */
export interface View {
  readonly sequence: number;
  /** The instant at which expiry is judged, in Unix milliseconds. */
  readonly nowMs: number;
  readonly canScanByInsertion: boolean;
  /** The documents there are under these keys, expired ones included, in no order. */
  lookup(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]>;
  indexes(collection: string): Promise<readonly IndexRecord[]>;
  hasEntry(collection: string, index: string, ranges: readonly EncodedRange[]): Promise<boolean>;
  /** In batches, for no more memory than a few of them take. */
  candidates(collection: string, access: Plan['access']): AsyncIterable<readonly StoredDocument[]>;
}

/** Opens a view. */
export async function openView(
  snapshot: Snapshot,
  { atSequence, nowMs }: Pick<ReadOptions, 'atSequence'> & { readonly nowMs: number },
): Promise<View> {
  const past = readableSequence(snapshot.clock, atSequence);
  if (past === undefined) {
    return new SourceView(snapshot, currentSource(), { sequence: snapshot.clock.seq, nowMs });
  }
  const at = { sequence: past, nowMs: await timeOf(snapshot, past) };
  return new SourceView(snapshot, pastSource(past), at);
}

/** The commit time of a sequence; of the floor itself the entry may be gone. */
async function timeOf({ connection, clock }: Snapshot, sequence: number): Promise<number> {
  if (sequence === clock.floor) return clock.floor_at;
  const [row] = await connection.rows<{ ts: number }>('SELECT ts FROM ver WHERE seq = $1', [
    sequence,
  ]);
  return row?.ts ?? 0;
}

const INDEXES = 'SELECT * FROM idx WHERE collection = $1 ORDER BY name';

class SourceView implements View {
  readonly #snapshot: Snapshot;
  readonly #source: DocumentSource;
  readonly #ids = new Map<string, number | undefined>();
  readonly sequence: number;
  readonly nowMs: number;
  readonly canScanByInsertion: boolean;

  constructor(
    snapshot: Snapshot,
    source: DocumentSource,
    { sequence, nowMs }: { readonly sequence: number; readonly nowMs: number },
  ) {
    this.#snapshot = snapshot;
    this.#source = source;
    this.sequence = sequence;
    this.nowMs = nowMs;
    this.canScanByInsertion = source.isCurrent;
  }

  async lookup(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]> {
    const id = await this.#idOf(collection);
    if (id === undefined || keys.length === 0) return [];
    const { text, values } = this.#source.byKeys(id, keys);
    const rows = await this.#snapshot.connection.rows<DocumentRow>(text, values);
    return rows.map((row) => documentOf(collection, row));
  }

  async indexes(collection: string): Promise<readonly IndexRecord[]> {
    return (await this.#indexRows(collection)).map((row) => indexOf(collection, row));
  }

  async hasEntry(
    collection: string,
    index: string,
    ranges: readonly EncodedRange[],
  ): Promise<boolean> {
    const row = (await this.#indexRows(collection)).find(({ name }) => name === index);
    if (row === undefined) return false;
    const { connection } = this.#snapshot;
    const found = await Promise.all(
      ranges.map(({ lower, upper }) =>
        upper === undefined
          ? connection.rows(`${HAS_ENTRY} LIMIT 1`, [row.id, lower])
          : connection.rows(`${HAS_ENTRY} AND value < $3 LIMIT 1`, [row.id, lower, upper]),
      ),
    );
    return found.some((rows) => rows.length > 0);
  }

  async *candidates(
    collection: string,
    access: Plan['access'],
  ): AsyncIterable<readonly StoredDocument[]> {
    const id = await this.#idOf(collection);
    if (id === undefined) return;
    if (access.kind === 'keys') {
      yield* this.#inOrder(collection, access.keys);
      return;
    }
    const index =
      access.kind === 'index'
        ? (await this.#indexRows(collection)).find(({ name }) => name === access.index)?.id
        : undefined;
    const { connection } = this.#snapshot;
    for await (const rows of walk(connection, this.#source, { collection: id, index, access })) {
      yield rows.map((row) => documentOf(collection, row));
    }
  }

  async *#inOrder(
    collection: string,
    keys: readonly string[],
  ): AsyncIterable<readonly StoredDocument[]> {
    for (let from = 0; from < keys.length; from += KEYS_AT_ONCE) {
      const some = keys.slice(from, from + KEYS_AT_ONCE);
      const found = new Map((await this.lookup(collection, some)).map((one) => [one.key, one]));
      yield some.flatMap((key) => found.get(key) ?? []);
    }
  }

  async #indexRows(collection: string): Promise<readonly IndexRow[]> {
    const id = await this.#idOf(collection);
    if (id === undefined || !this.#source.isCurrent) return [];
    return await this.#snapshot.connection.rows<IndexRow>(INDEXES, [id]);
  }

  async #idOf(collection: string): Promise<number | undefined> {
    if (!this.#ids.has(collection)) {
      const { text, values } = this.#source.collection(collection);
      const [row] = await this.#snapshot.connection.rows<{ id: number }>(text, values);
      this.#ids.set(collection, row?.id);
    }
    return this.#ids.get(collection);
  }
}

const KEYS_AT_ONCE = 100;
const HAS_ENTRY = 'SELECT 1 FROM entry WHERE idx = $1 AND value >= $2';
