import { DOCUMENT_COLUMNS } from '../commit/rows.ts';
import type { Statement } from './save.ts';

/**
 * Holds for rows of `head` that are documents. Written so that the partial index of insertion order does not
 * answer it: of tables that have just grown the planner knows nothing, and would look for a key in there.
 */
export const IS_LIVE = 'h.live > 0';

/** Where documents of a state are found: the newest ones, or those of a sequence. */
export interface DocumentSource {
  readonly isCurrent: boolean;
  /** `h` is a row of `head`, `v` the version of it that the state shows. */
  readonly from: string;
  /** Holds for documents that exist in the state. */
  readonly where: string;
  /** The incarnation of a name. */
  collection(name: string): Statement;
  byKeys(collection: number, keys: readonly string[]): Statement;
}

/** The newest state. */
export function currentSource(): DocumentSource {
  return source({
    isCurrent: true,
    from: 'head h JOIN ver v ON v.seq = h.seq',
    where: IS_LIVE,
    collection: (name) => ({
      text: 'SELECT id FROM collection WHERE name = $1 AND retired IS NULL',
      values: [name],
    }),
  });
}

/** The state right after a sequence: follows each key's chain of versions back to it. */
export function pastSource(sequence: number): DocumentSource {
  const at = Math.trunc(sequence).toString();
  return source({
    isCurrent: false,
    from: `head h CROSS JOIN LATERAL (
        WITH RECURSIVE chain (seq, previous) AS (
          SELECT n.seq, n.previous FROM ver n WHERE n.seq = h.seq
          UNION ALL
          SELECT o.seq, o.previous FROM chain c JOIN ver o ON o.seq = c.previous WHERE c.seq > ${at}
        )
        SELECT seq FROM chain WHERE seq <= ${at} ORDER BY seq DESC LIMIT 1
      ) at JOIN ver v ON v.seq = at.seq`,
    where: 'v.kind = 1',
    collection: (name) => ({
      text: `SELECT id FROM collection
        WHERE name = $1 AND born <= $2 AND (retired IS NULL OR retired > $2)`,
      values: [name, sequence],
    }),
  });
}

function source(parts: Omit<DocumentSource, 'byKeys'>): DocumentSource {
  return {
    ...parts,
    byKeys: (collection, keys) => ({
      text: `SELECT ${DOCUMENT_COLUMNS} FROM ${parts.from}
        WHERE h.collection = $1 AND h.key = ANY($2::text[]) AND ${parts.where}`,
      values: [collection, keys],
    }),
  };
}
