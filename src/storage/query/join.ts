import type { StoredDocument } from '../types.ts';
import { createCandidate, systemValue, type Candidate } from './candidate.ts';
import { isSystemField, valueAt } from './path.ts';
import type { Join } from './query.ts';
import { covers } from './reach.ts';

/** Finds the current document under a key in the same state the candidates come from. */
export type DocumentLookup = (collection: string, key: string) => StoredDocument | undefined;

/** Wraps documents so that the aliases of joins resolve, each looked up once and only when used. */
export type CandidateFactory = (document: StoredDocument) => Candidate;

/** Compiles joins. Of two with one alias the last counts; expired documents are not found. */
export function compileJoins(
  joins: readonly Join[],
  lookup: DocumentLookup,
  nowMs: number,
): CandidateFactory {
  if (joins.length === 0) return (document) => createCandidate(document);
  const byAlias = new Map(joins.map((join) => [join.alias, join]));
  return (document) => {
    const candidate: Candidate = createCandidate(document, (alias) => {
      const join = byAlias.get(alias);
      const key = join === undefined ? undefined : joinedKey(join, candidate);
      if (join === undefined || key === undefined) return undefined;
      const found = lookup(join.from, key);
      return found === undefined || isExpired(found, nowMs) ? undefined : createCandidate(found);
    });
    return candidate;
  };
}

/** What a document joins: all that a lookup can be asked for on its behalf. */
export function joinedBy(
  joins: readonly Join[],
  document: StoredDocument,
): readonly { readonly collection: string; readonly key: string }[] {
  const candidate = createCandidate(document);
  return joins.flatMap((join) => {
    const key = joinedKey(join, candidate);
    return key === undefined ? [] : [{ collection: join.from, key }];
  });
}

/** Reports whether a document does not exist any more at `nowMs`: it expires at that instant. */
export function isExpired(document: StoredDocument, nowMs: number): boolean {
  return document.expiresAtMs !== undefined && document.expiresAtMs <= nowMs;
}

/** The key a join names, read from the document itself and never from another join. */
function joinedKey(join: Join, candidate: Candidate): string | undefined {
  const [first] = join.on;
  const isSystem = join.on.length === 1 && isSystemField(first);
  const key = isSystem
    ? systemValue(first, candidate.document)
    : valueAt(candidate.body(), join.on);
  return typeof key === 'string' && covers(join.access, key) ? key : undefined;
}
