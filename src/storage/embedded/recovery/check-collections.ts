import { createHash } from 'node:crypto';

import type { Sql } from '../database.ts';
import { ENTRY_KIND } from '../../commit/rows.ts';
import { PROBLEMS_MAX, unlessDamaged, type Findings } from './findings.ts';

/** One collection of users. */
export interface CheckedCollection {
  readonly name: string;
  readonly documents: number;
  readonly bytes: number;
  /** SHA-256 over keys, versions and bodies, by key, in lower-case hex: the same content, the same hash. */
  readonly sha256: string;
}

/** Documents are hashed together in pieces of about this many characters. */
const HASHED_CHARS = 64 * 1024;
const HOLDS = `v.seq IS NOT NULL AND v.kind = ${String(ENTRY_KIND.put)}
  AND v.key = h.key AND v.collection = h.collection`;
const LOST_HEADS = `SELECT h.key, h.seq FROM head h LEFT JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.live = 1 AND NOT (${HOLDS}) LIMIT ${String(PROBLEMS_MAX)}`;
const DOCUMENTS = `SELECT h.key, h.seq, ${HOLDS}, v.version, v.body
  FROM head h LEFT JOIN ver v ON v.seq = h.seq
  WHERE h.collection = ? AND h.live = 1 ORDER BY h.key`;
const HEADS = 'SELECT key, seq FROM head WHERE collection = ? AND live = 1 ORDER BY key';

interface CollectionFacts {
  readonly id: number;
  readonly name: string;
  readonly documents: number;
  readonly bytes: number;
  readonly retired: number | null;
}

/**
 * Every document points to the entry that holds it, and each collection holds what it counts. Those that
 * cannot be read are named; a collection that has such is not counted.
 */
export function checkCollections(sql: Sql, findings: Findings): readonly CheckedCollection[] {
  const all = unlessDamaged(() => sql('SELECT * FROM collection ORDER BY name').all());
  if (all === undefined) findings.add('the list of collections cannot be read');
  return ((all ?? []) as CollectionFacts[]).flatMap((row) => {
    const found = unlessDamaged(() => checkCollection(sql, row, findings));
    if (found !== undefined) return found;
    nameLost(sql, row, findings);
    return [];
  });
}

function checkCollection(
  sql: Sql,
  row: CollectionFacts,
  findings: Findings,
): readonly CheckedCollection[] {
  const lost = (key: string, seq: number): void => {
    if (findings.isLost(seq)) return;
    findings.add(`document '${key}' of '${row.name}': sequence ${String(seq)} does not hold it`);
  };
  if (row.retired !== null) {
    const heads = sql(LOST_HEADS).raw().all(row.id) as [string, number][];
    for (const [key, seq] of heads) lost(key, seq);
    return [];
  }
  const found = readCollection(sql, row, lost);
  if (found.documents !== row.documents || found.bytes !== row.bytes) {
    findings.add(
      `collection '${row.name}': counts ${String(row.documents)} documents and ${String(row.bytes)} bytes, holds ${String(found.documents)} and ${String(found.bytes)}`,
    );
  }
  return row.name.startsWith('$') ? [] : [found];
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
    readonly [key: string, seq: number, holds: number, version: number, body: string | null]
  >;
  for (const [key, seq, holds, version, body] of rows) {
    if (holds === 0 || body === null) {
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

/** Names the documents of a collection whose entries, or whose places, cannot be read. */
function nameLost(sql: Sql, { id, name }: CollectionFacts, findings: Findings): void {
  /** The last key before the damage; undefined when there is none. */
  const walk = (
    order: 'ASC' | 'DESC',
    onHead: (seq: number, key: string) => void,
  ): string | undefined => {
    let last = '';
    const isWhole = unlessDamaged(() => {
      for (const [key, seq] of sql(`${HEADS} ${order}`).raw().iterate(id) as Iterable<
        [string, number]
      >) {
        onHead(seq, key);
        last = key;
      }
      return true;
    });
    return isWhole === undefined ? last : undefined;
  };
  const named = new Set<string>();
  const nameIt = (seq: number, key: string): void => {
    if (!findings.isLost(seq) || named.has(key) || findings.isFull) return;
    named.add(key);
    findings.add(
      `document '${key}' of '${name}': sequence ${String(seq)}, which holds it, is lost`,
    );
  };
  const before = walk('ASC', nameIt);
  if (before === undefined) return;
  // From the other end up to the damage.
  const behind = walk('DESC', nameIt) ?? '';
  const range = [before && ` after '${before}'`, behind && ` before '${behind}'`].join('');
  findings.add(`documents of '${name}'${range}: where they are cannot be read`);
}
