import { createStatements, type Sql } from '../database.ts';
import { keysOf, withFile } from './directory.ts';

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
  const [one, other] = [await keysOf(first, password), await keysOf(second, password)];
  return await withFile({ directory: first, dataKey: one?.dataKey, access: 'read' }, (a) =>
    withFile({ directory: second, dataKey: other?.dataKey, access: 'read' }, (b) =>
      compareFiles(createStatements(a), createStatements(b)),
    ),
  );
}

function compareFiles(one: Sql, other: Sql): readonly StoreDifference[] {
  const names = [one, other].flatMap((sql) => sql(NAMES).pluck().all().map(String));
  return [...new Set(names)]
    .sort()
    .map((collection) => compareCollection(collection, one, other))
    .filter(({ removed, added, changed }) => removed + added + changed > 0);
}

/** Walks both side by side, by key. Only sequences: in one log the same sequence is the same content. */
function compareCollection(collection: string, one: Sql, other: Sql): StoreDifference {
  const counts = { removed: 0, added: 0, changed: 0 };
  const sampleKeys: string[] = [];
  const count = (kind: keyof typeof counts, key: string): void => {
    counts[kind] += 1;
    if (sampleKeys.length < SAMPLES_MAX) sampleKeys.push(key);
  };
  const [before, after] = [headsOf(one, collection), headsOf(other, collection)];
  let [old, current] = [before.next().value, after.next().value];
  while (old !== undefined || current !== undefined) {
    if (current === undefined || (old !== undefined && old.key < current.key)) {
      count('removed', old?.key ?? '');
      old = before.next().value;
    } else if (old === undefined || current.key < old.key) {
      count('added', current.key);
      current = after.next().value;
    } else {
      if (old.seq !== current.seq) count('changed', current.key);
      [old, current] = [before.next().value, after.next().value];
    }
  }
  return { collection, ...counts, sampleKeys };
}

interface Head {
  readonly key: string;
  readonly seq: number;
}

function headsOf(sql: Sql, collection: string): Iterator<Head, undefined> {
  return sql(HEADS).iterate(collection) as Iterator<Head, undefined>;
}
