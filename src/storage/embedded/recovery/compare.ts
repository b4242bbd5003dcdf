import { createStatements, type Sql } from '../database.ts';
import { openFile, keyOf } from './recover.ts';

/** How one collection of two stores differs. */
export interface StoreDifference {
  readonly collection: string;
  /** Documents only in the first, only in the second, and in both with other contents. */
  readonly removed: number;
  readonly added: number;
  readonly changed: number;
  /** At most 10 in all. */
  readonly sampleKeys: readonly string[];
}

const SAMPLES_MAX = 10;
const NAMES = `SELECT name FROM collection
  WHERE retired IS NULL AND substr(name, 1, 1) <> '$' ORDER BY name`;
const HEADS = `SELECT h.key, h.seq FROM head h JOIN collection c ON c.id = h.collection
  WHERE c.name = ? AND c.retired IS NULL AND h.live = 1 ORDER BY h.key`;

/** Compares two stores of one log, document by document; only collections that differ are named. */
export async function compareStores(
  first: string,
  second: string,
  password: string | undefined,
): Promise<readonly StoreDifference[]> {
  const a = openFile(first, await keyOf(first, password), 'read');
  const b = openFile(second, await keyOf(second, password), 'read');
  try {
    const [one, other] = [createStatements(a), createStatements(b)];
    const names = [one, other].flatMap((sql) => sql(NAMES).pluck().all().map(String));
    return [...new Set(names)]
      .sort()
      .map((collection) => compareCollection(collection, one, other))
      .filter(({ removed, added, changed }) => removed + added + changed > 0);
  } finally {
    a.close();
    b.close();
  }
}

function compareCollection(collection: string, one: Sql, other: Sql): StoreDifference {
  // Only keys and sequences: in one log the same sequence is the same content.
  const before = sequencesOf(one, collection);
  const counts = { removed: 0, added: 0, changed: 0 };
  const sampleKeys: string[] = [];
  const count = (kind: keyof typeof counts, key: string): void => {
    counts[kind] += 1;
    if (sampleKeys.length < SAMPLES_MAX) sampleKeys.push(key);
  };
  for (const { key, seq } of headsOf(other, collection)) {
    const known = before.get(key);
    if (known === undefined) count('added', key);
    else if (known !== seq) count('changed', key);
    before.delete(key);
  }
  for (const key of before.keys()) count('removed', key);
  return { collection, ...counts, sampleKeys };
}

function sequencesOf(sql: Sql, collection: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const { key, seq } of headsOf(sql, collection)) found.set(key, seq);
  return found;
}

function headsOf(
  sql: Sql,
  collection: string,
): Iterable<{ readonly key: string; readonly seq: number }> {
  return sql(HEADS).iterate(collection) as Iterable<{ readonly key: string; readonly seq: number }>;
}
