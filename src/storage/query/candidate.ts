import { DomainError } from '../../errors/domain-error.ts';
import type { Json, JsonObject, StoredDocument } from '../types.ts';
import { isObject, isSystemField, valueAt, type SystemField } from './path.ts';
import type { Path } from './query.ts';

/**
 * One document under evaluation. The body is parsed when it is first asked for and kept; joined
 * documents are looked up when a path first names their alias.
 */
export interface Candidate {
  readonly document: StoredDocument;
  /** Throws CORRUPTION_DETECTED when the stored text is not a JSON object. */
  body(): JsonObject;
  /** The document joined under `alias`; undefined when no join has that alias or it found nothing. */
  joined(alias: string): Candidate | undefined;
}

/** Finds the document joined under an alias; called at most once per alias and candidate. */
export type JoinedLookup = (alias: string) => Candidate | undefined;

/** Wraps a stored document for evaluation. Without `joins` no alias resolves. */
export function createCandidate(document: StoredDocument, joins?: JoinedLookup): Candidate {
  let parsed: JsonObject | undefined;
  const found = joins === undefined ? undefined : new Map<string, Candidate | undefined>();
  return {
    document,
    body: () => (parsed ??= parseBody(document)),
    joined(alias) {
      if (joins === undefined || found === undefined) return undefined;
      if (!found.has(alias)) found.set(alias, joins(alias));
      return found.get(alias);
    },
  };
}

/**
 * The value a path addresses in a candidate, or undefined when it is missing. A system field is
 * addressed by its name alone; the alias of a join that found a document hides a member of that name;
 * everything else is in the body.
 */
export function resolve(path: Path, candidate: Candidate): Json | undefined {
  const [first] = path;
  if (first === undefined) return candidate.body();
  if (path.length === 1 && isSystemField(first)) return systemValue(first, candidate.document);
  const joined = candidate.joined(first);
  if (joined === undefined) return valueAt(candidate.body(), path);
  const second = path[1];
  return path.length === 2 && isSystemField(second)
    ? systemValue(second, joined.document)
    : valueAt(joined.body(), path, 1);
}

/** A system field as JSON: numbers for `_v` and `_seq`, ISO 8601 in UTC for times. */
export function systemValue(field: SystemField, document: StoredDocument): Json | undefined {
  switch (field) {
    case '_key':
      return document.key;
    case '_v':
      return Number(document.version);
    case '_seq':
      return Number(document.createdSequence);
    case '_createdAt':
      return formatTime(document.createdAtMs);
    case '_modifiedAt':
      return formatTime(document.modifiedAtMs);
    case '_expiresAt':
      return document.expiresAtMs === undefined ? undefined : formatTime(document.expiresAtMs);
  }
}

/** ISO 8601 in UTC with milliseconds: `2026-01-31T23:59:59.999Z`. */
export function formatTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

function parseBody(document: StoredDocument): JsonObject {
  const { collection, key } = document;
  let value: unknown;
  try {
    value = JSON.parse(document.body);
  } catch (cause) {
    throw corrupt(collection, key, cause);
  }
  if (!isObject(value)) throw corrupt(collection, key, undefined);
  return value;
}

function corrupt(collection: string, key: string, cause: unknown): DomainError {
  return new DomainError(
    'CORRUPTION_DETECTED',
    `the stored body of document '${key}' in collection '${collection}' is not a JSON object`,
    { metadata: { collection, key }, cause },
  );
}
