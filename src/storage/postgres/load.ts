import type { CommitRequest } from '../commit/operations.ts';
import type { CollectionRow, IndexRow } from '../commit/rows.ts';
import type { RequestIdentity } from '../engine.ts';
import type { Connection } from './connections.ts';
import type { FoundHead, Missing, UniqueValue, WorkingSet } from './working-set.ts';

/** What a group of commits is certain to need. */
export interface Needs {
  /** Names of collections. */
  readonly collections: readonly string[];
  readonly documents: readonly { readonly collection: string; readonly key: string }[];
  readonly requests: readonly RequestIdentity[];
}

/** Reads off requests what is needed to decide them. */
export function needsOf(requests: readonly CommitRequest[]): Needs {
  const collections = new Set<string>();
  const documents = new Map<string, { readonly collection: string; readonly key: string }>();
  for (const { seen, seenCollections, operations } of requests) {
    for (const { collection } of [...seenCollections, ...operations]) collections.add(collection);
    for (const one of [...seen, ...operations]) {
      collections.add(one.collection);
      if (!('key' in one)) continue;
      const { collection, key } = one;
      documents.set(JSON.stringify([collection, key]), { collection, key });
    }
  }
  return {
    ...{ collections: [...collections], documents: [...documents.values()] },
    requests: requests.flatMap(({ request }) => request ?? []),
  };
}

const COLLECTIONS = 'SELECT * FROM collection WHERE retired IS NULL AND name = ANY($1::text[])';
const INDEXES = `SELECT i.* FROM collection c JOIN idx i ON i.collection = c.id
  WHERE c.retired IS NULL AND c.name = ANY($1::text[]) ORDER BY i.id`;
const ANSWERS = `SELECT r.principal, r.id, r.fingerprint, r.answer
  FROM unnest($1::text[], $2::text[]) AS asked (principal, id)
  JOIN request r ON r.principal = asked.principal AND r.id = asked.id`;
/** Bodies only where an index has entries of them. */
const HEAD_COLUMNS = `h.collection, h.key, h.seq, h.live, h.created_seq, h.expires_at, v.ts, v.version,
  v.created_at, octet_length(v.body) AS bytes,
  CASE WHEN EXISTS (SELECT 1 FROM idx i WHERE i.collection = h.collection) THEN v.body END AS body`;
const HEADS = `SELECT ${HEAD_COLUMNS}
  FROM unnest($1::text[], $2::text[]) AS asked (name, key)
  JOIN collection c ON c.name = asked.name AND c.retired IS NULL
  JOIN head h ON h.collection = c.id AND h.key = asked.key
  JOIN ver v ON v.seq = h.seq`;
const ONE_HEAD = `SELECT ${HEAD_COLUMNS} FROM head h JOIN ver v ON v.seq = h.seq
  WHERE h.collection = $1 AND h.key = $2`;
const OLDEST = `SELECT ${HEAD_COLUMNS} FROM head h JOIN ver v ON v.seq = h.seq
  WHERE h.collection = $1 AND h.live = 1 ORDER BY h.created_seq LIMIT $2`;
const HOLDERS = `SELECT asked.at, held.key
  FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS asked (idx, value, at)
  JOIN LATERAL (SELECT e.key FROM entry e WHERE e.idx = asked.idx AND e.value = asked.value LIMIT $3)
    AS held ON true`;
/** More than one group can remove, so that two are left whenever there are that many. */
const HOLDERS_MAX = 1200;

type HeadRow = FoundHead & { readonly collection: number; readonly key: string };

/** Loads what a group is certain to need, in one exchange with the database. */
export async function loadNeeds(
  connection: Connection,
  { collections, documents, requests }: Needs,
): Promise<(set: WorkingSet) => void> {
  const [rows, indexes, answers, heads] = await Promise.all([
    connection.rows<CollectionRow>(COLLECTIONS, [collections]),
    connection.rows<IndexRow>(INDEXES, [collections]),
    requests.length === 0
      ? []
      : connection.rows<RequestIdentity & { readonly answer: string }>(ANSWERS, [
          requests.map(({ principal }) => principal),
          requests.map(({ id }) => id),
        ]),
    documents.length === 0
      ? []
      : connection.rows<HeadRow>(HEADS, [
          documents.map(({ collection }) => collection),
          documents.map(({ key }) => key),
        ]),
  ]);
  return (set) => {
    for (const row of rows) {
      set.addCollection(
        row,
        indexes.filter(({ collection }) => collection === row.id),
      );
    }
    for (const answer of answers) set.addAnswer(answer);
    for (const head of heads) set.addHead(head, head);
    const ids = new Map(rows.map(({ name, id }) => [name, id]));
    for (const { collection: name, key } of documents) {
      const collection = ids.get(name);
      // Those that were found stay as they are.
      if (collection !== undefined) set.addHead({ collection, key }, undefined);
    }
  };
}

/** Loads what turned out to be missing. */
export async function loadMissing(
  connection: Connection,
  set: WorkingSet,
  missing: Missing,
): Promise<void> {
  switch (missing.kind) {
    case 'head': {
      const [found] = await connection.rows<HeadRow>(ONE_HEAD, [missing.collection, missing.key]);
      set.addHead(missing, found);
      return;
    }
    case 'oldest': {
      const { collection, limit } = missing;
      const found = await connection.rows<HeadRow>(OLDEST, [collection, limit]);
      for (const head of found) set.addHead(head, head);
      set.addOldest(collection, { keys: found, isWhole: found.length < limit });
    }
  }
}

/** Loads who holds some unique values, in one statement. */
export async function loadHolders(
  connection: Connection,
  set: WorkingSet,
  values: readonly UniqueValue[],
): Promise<void> {
  const rows = await connection.rows<{ readonly at: number; readonly key: string }>(HOLDERS, [
    values.map(({ index }) => index),
    values.map(({ value }) => value),
    HOLDERS_MAX,
  ]);
  const byValue = Map.groupBy(rows, ({ at }) => at);
  set.addHolders(
    values.map((value, at) => ({
      ...value,
      keys: (byValue.get(at + 1) ?? []).map(({ key }) => key),
    })),
  );
}
