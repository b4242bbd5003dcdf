import {
  toSequence,
  toVersion,
  type CollectionRecord,
  type CollectionSettings,
  type IndexField,
  type IndexRecord,
  type LogEntry,
  type RemovalCause,
  type StoredDocument,
} from '../types.ts';

/** Kinds of log entries as stored. The numbers are part of the format. */
export const ENTRY_KIND = {
  put: 1,
  delete: 2,
  createCollection: 3,
  configureCollection: 4,
  dropCollection: 5,
  clearCollection: 6,
} as const;

/** Causes of removals as stored; 0 is «somebody asked». The numbers are part of the format. */
export const CAUSE = { expired: 1, evicted: 2 } as const;

/** The columns of `ver` that make a document; `v` is the alias of the table. */
export const DOCUMENT_COLUMNS =
  'v.key, v.seq, v.version, v.created_seq, v.created_at, v.ts, v.expires_at, v.body';

/** A document as an engine returns it. Sequences fit a double: 2^53 of them take centuries. */
export interface DocumentRow {
  readonly key: string;
  readonly seq: number;
  readonly version: number;
  readonly created_seq: number;
  readonly created_at: number;
  readonly ts: number;
  readonly expires_at: number | null;
  readonly body: string;
}

/** A log entry as an engine returns it, with the name of its collection. */
export interface EntryRow extends Omit<DocumentRow, 'body'> {
  readonly first: number;
  readonly kind: number;
  readonly name: string;
  readonly previous: number;
  readonly cause: number;
  readonly body: string | null;
}

/** A row of `ver`. */
export interface LogRow {
  readonly seq: number;
  readonly ts: number;
  readonly first: number;
  readonly kind: number;
  readonly collection: number;
  readonly key: string;
  readonly version: number;
  readonly previous: number;
  readonly created_seq: number;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly cause: number;
  readonly body: string | null;
}

/** What pruning needs to know of a log entry. */
export interface PassedRow {
  readonly seq: number;
  readonly kind: number;
  readonly collection: number;
  readonly key: string;
  /** The sequence of the entry that it replaced. */
  readonly previous: number;
}

/** A log entry along with what it replaced; the columns are null when that was nothing. */
export interface ReplacingRow extends EntryRow {
  readonly p_seq?: number | null;
  readonly p_ts?: number | null;
  readonly p_version?: number | null;
  readonly p_expires_at?: number | null;
  readonly p_body?: string | null;
}

/** A row of `collection`. */
export interface CollectionRow {
  readonly id: number;
  readonly name: string;
  readonly uid: string;
  readonly revision: number;
  readonly documents_max: number | null;
  readonly rules: string;
  readonly documents: number;
  readonly bytes: number;
  readonly created_at: number;
  readonly last_put_at: number;
  readonly settings_seq: number;
}

/** A row of `idx`. */
export interface IndexRow {
  readonly id: number;
  readonly collection: number;
  readonly name: string;
  readonly fields: string;
  readonly is_unique: number;
  readonly state: string;
  readonly documents_done: number;
  readonly built_to: string | null;
  readonly failure: string;
  readonly created_at: number;
}

/** A stored document from its row. */
export function documentOf(collection: string, row: DocumentRow): StoredDocument {
  return {
    collection,
    key: row.key,
    version: toVersion(row.version),
    sequence: toSequence(row.seq),
    createdSequence: toSequence(row.created_seq),
    createdAtMs: row.created_at,
    modifiedAtMs: row.ts,
    expiresAtMs: row.expires_at ?? undefined,
    body: row.body,
  };
}

/** A collection record from its row. */
export function collectionOf(row: CollectionRow): CollectionRecord {
  return {
    name: row.name,
    uid: row.uid,
    revision: BigInt(row.revision),
    settings: { documentsMax: row.documents_max ?? undefined, rules: row.rules },
    documents: row.documents,
    bytes: row.bytes,
    createdAtMs: row.created_at,
    lastPutAtMs: row.last_put_at,
  };
}

/** An index record from its row. */
export function indexOf(collection: string, row: IndexRow): IndexRecord {
  return {
    collection,
    name: row.name,
    // Written by this engine from an IndexSpec.
    fields: JSON.parse(row.fields) as IndexField[],
    unique: row.is_unique === 1,
    state: row.state === 'ready' || row.state === 'failed' ? row.state : 'building',
    documentsDone: row.documents_done,
    failure: row.failure,
    createdAtMs: row.created_at,
  };
}

const KINDS = Object.fromEntries(
  Object.entries(ENTRY_KIND).map(([kind, code]) => [code, kind]),
) as Record<number, LogEntry['kind']>;

const CAUSES = Object.fromEntries(
  Object.entries(CAUSE).map(([cause, code]) => [code, cause]),
) as Record<number, RemovalCause>;

/** A log entry from its row. */
export function entryOf(row: ReplacingRow): LogEntry {
  const isPut = row.kind === ENTRY_KIND.put;
  const isCreation = isPut && row.version === 1;
  return {
    sequence: toSequence(row.seq),
    timestampMs: row.ts,
    commit: toSequence(row.first),
    kind: KINDS[row.kind] ?? 'put',
    collection: row.name,
    key: row.key,
    version: toVersion(row.version),
    body: isPut ? (row.body ?? '') : '',
    // The chain also links a creation to the deletion before it; nothing was replaced then.
    previousSequence: toSequence(isCreation ? 0 : row.previous),
    createdSequence: toSequence(row.created_seq),
    createdAtMs: row.created_at,
    expiresAtMs: row.expires_at ?? undefined,
    cause: CAUSES[row.cause],
    ...(row.p_body === undefined ? {} : { previous: previousOf(row) }),
    ...(isAboutSettings(row) ? { settings: settingsOf(row) } : {}),
  };
}

function isAboutSettings({ kind }: ReplacingRow): boolean {
  return kind === ENTRY_KIND.createCollection || kind === ENTRY_KIND.configureCollection;
}

/** What the writer wrote beside the entry. */
function settingsOf({ body }: ReplacingRow): CollectionSettings {
  const { rules = '{}', documentsMax } = JSON.parse(body ?? '{}') as Partial<CollectionSettings>;
  return { rules, documentsMax };
}

function previousOf(row: ReplacingRow): StoredDocument | undefined {
  if (typeof row.p_body !== 'string') return undefined;
  return documentOf(row.name, {
    ...{ key: row.key, created_seq: row.created_seq, created_at: row.created_at },
    ...{ seq: row.p_seq ?? 0, ts: row.p_ts ?? 0, version: row.p_version ?? 0 },
    ...{ expires_at: row.p_expires_at ?? null, body: row.p_body },
  });
}
