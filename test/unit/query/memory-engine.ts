/**
 * The smallest engine that keeps the planner's promises: documents in an array, index entries computed
 * by the shared encoder and walked exactly as a plan says. Tests compare its answers through a plan
 * with its answers without one.
 */
import { createCandidate } from '../../../src/storage/query/candidate.ts';
import { compareStrings } from '../../../src/storage/query/compare.ts';
import { compileIndex } from '../../../src/storage/query/encode.ts';
import {
  executeAggregation,
  executeQuery,
  type RunContext,
  type StopCause,
} from '../../../src/storage/query/execute.ts';
import {
  planSelection,
  planWithProbes,
  type Access,
  type EncodedRange,
  type KeyRange,
  type Plan,
  type PlanRequest,
} from '../../../src/storage/query/plan.ts';
import type {
  Aggregation,
  AggregationResult,
  Query,
  QueryPage,
  Selection,
} from '../../../src/storage/query/query.ts';
import { MATCH_ALL } from '../../../src/storage/query/filter.ts';
import {
  ALL_KEYS,
  toSequence,
  toVersion,
  type IndexField,
  type IndexRecord,
  type Json,
  type StoredDocument,
} from '../../../src/storage/types.ts';

export const NOW_MS: number = Date.UTC(2026, 0, 31);

/** A stored document with a body; documents made one after the other get rising sequences. */
export function storedDocument(
  key: string,
  body: Json,
  more: Partial<StoredDocument> = {},
): StoredDocument {
  return {
    collection: 'things',
    key,
    version: toVersion(1),
    sequence: toSequence(1),
    createdSequence: toSequence(1),
    createdAtMs: NOW_MS,
    modifiedAtMs: NOW_MS,
    expiresAtMs: undefined,
    body: JSON.stringify(body),
    ...more,
  };
}

/** A collection of bodies by key, in insertion order. */
export function collectionOf(
  collection: string,
  bodies: Readonly<Record<string, Json>>,
): readonly StoredDocument[] {
  return Object.entries(bodies).map(([key, body], at) =>
    storedDocument(key, body, {
      collection,
      sequence: toSequence(at + 1),
      createdSequence: toSequence(at + 1),
    }),
  );
}

export const SELECTION: Selection = {
  collection: 'things',
  access: ALL_KEYS,
  keys: undefined,
  keyPrefix: '',
  filter: MATCH_ALL,
  joins: [],
  limits: {
    examinedMax: 1e6,
    sortedMax: 1e6,
    timeMs: 1000,
    memoryBytesMax: 1e9,
    pageBytesMax: 1e9,
  },
};

export const QUERY: Query = {
  ...SELECTION,
  order: { by: 'key', direction: 'asc' },
  projection: undefined,
  offset: 0,
  limit: 1000,
  after: undefined,
  total: false,
};

/** A ready index. */
export function indexOf(
  name: string,
  fields: readonly IndexField[],
  more: Partial<IndexRecord> = {},
): IndexRecord {
  const ready = { state: 'ready', documentsDone: 0, failure: '', createdAtMs: 0 } as const;
  return { collection: 'things', name, fields, unique: false, ...ready, ...more };
}

export interface MemoryOptions {
  readonly indexes?: readonly IndexRecord[];
  readonly others?: readonly StoredDocument[];
  readonly canScanByInsertion?: boolean;
  readonly shouldStop?: () => StopCause | undefined;
}

interface Entry {
  readonly key: Buffer;
  readonly document: StoredDocument;
}

/** The entries of an index in the order of the index: by blob, then by key. */
export function entriesOf(
  documents: readonly StoredDocument[],
  index: IndexRecord,
): readonly Entry[] {
  const encode = compileIndex(index.fields);
  return documents
    .map((document) => ({ key: encode(createCandidate(document)).key, document }))
    .sort((a, b) => a.key.compare(b.key) || compareStrings(a.document.key, b.document.key));
}

export function isInRange(entry: Buffer, { lower, upper }: EncodedRange): boolean {
  return entry.compare(lower) >= 0 && (upper === undefined || entry.compare(upper) < 0);
}

function isKeyInRange(key: string, range: KeyRange): boolean {
  if (range.kind === 'key') return range.key === key;
  const isFrom = compareStrings(key, range.lower) >= 0;
  return isFrom && (range.upper === undefined || compareStrings(key, range.upper) < 0);
}

/** Plans as an engine does, probing its indexes. */
export function planFor(
  documents: readonly StoredDocument[],
  query: Query,
  options: MemoryOptions = {},
): Plan {
  const indexes = options.indexes ?? [];
  return planWithProbes(requestFor(query, options), (name, range) =>
    indexes.some(
      (index) =>
        index.name === name && entriesOf(documents, index).some(({ key }) => isInRange(key, range)),
    ),
  );
}

export function requestFor(query: Query, options: MemoryOptions = {}): PlanRequest {
  return {
    selection: query,
    order: query.order,
    after: query.after,
    wantsAll: query.total,
    indexes: options.indexes ?? [],
    unordered: [],
    canScanByInsertion: options.canScanByInsertion ?? false,
  };
}

/** Walks documents exactly as a plan says. */
export function walk(
  documents: readonly StoredDocument[],
  { access }: Plan,
  indexes: readonly IndexRecord[],
): readonly StoredDocument[] {
  switch (access.kind) {
    case 'keys':
      return access.keys.flatMap((key) => documents.filter((document) => document.key === key));
    case 'index': {
      const index = indexes.find(({ name }) => name === access.index);
      return index === undefined ? [] : walkIndex(entriesOf(documents, index), access);
    }
    case 'scan':
      return access.by === 'key' ? walkKeys(documents, access) : walkInsertion(documents, access);
  }
}

type AccessOf<K extends Access['kind']> = Extract<Access, { readonly kind: K }>;

function walkIndex(
  entries: readonly Entry[],
  { ranges, reverse, afterKey }: AccessOf<'index'>,
): readonly StoredDocument[] {
  const sign = reverse ? -1 : 1;
  const sorted = entries.toSorted(
    (a, b) => sign * a.key.compare(b.key) || compareStrings(a.document.key, b.document.key),
  );
  return ranges
    .flatMap((range) => sorted.filter(({ key }) => isInRange(key, range)))
    .map(({ document }) => document)
    .filter(({ key }) => afterKey === undefined || compareStrings(key, afterKey) > 0);
}

function walkKeys(
  documents: readonly StoredDocument[],
  { ranges, reverse }: AccessOf<'scan'>,
): readonly StoredDocument[] {
  const sign = reverse ? -1 : 1;
  const sorted = documents.toSorted((a, b) => sign * compareStrings(a.key, b.key));
  return ranges.flatMap((range) => sorted.filter(({ key }) => isKeyInRange(key, range)));
}

function walkInsertion(
  documents: readonly StoredDocument[],
  { ranges, reverse, fromCreated }: AccessOf<'scan'>,
): readonly StoredDocument[] {
  const sign = reverse ? -1 : 1;
  return documents
    .toSorted((a, b) => sign * Number(a.createdSequence - b.createdSequence))
    .filter(({ key }) => ranges.some((range) => isKeyInRange(key, range)))
    .filter(({ createdSequence }) => {
      if (fromCreated === undefined) return true;
      return reverse ? createdSequence < fromCreated : createdSequence >= fromCreated;
    });
}

function contextOf(plan: Plan, options: MemoryOptions): RunContext {
  return {
    plan,
    lookup: (collection, key) =>
      options.others?.find((other) => other.collection === collection && other.key === key),
    nowMs: NOW_MS,
    shouldStop: options.shouldStop ?? (() => undefined),
    sequence: toSequence(documentsSequence),
    elapsedMs: () => 0,
  };
}

const documentsSequence = 1000;

/** Runs a query through its plan. */
export function runQuery(
  documents: readonly StoredDocument[],
  query: Query,
  options: MemoryOptions = {},
): QueryPage {
  const plan = planFor(documents, query, options);
  const candidates = walk(documents, plan, options.indexes ?? []);
  return executeQuery(query, candidates, contextOf(plan, options));
}

/** Runs a query over every document, sorted in memory: what any plan must agree with. */
export function runUnplanned(
  documents: readonly StoredDocument[],
  query: Query,
  options: MemoryOptions = {},
): QueryPage {
  const plan: Plan = {
    access: { kind: 'scan', ranges: [], reverse: false, by: 'key', fromCreated: undefined },
    ...{ arrival: 'unordered', arrivalFields: 0, probes: [], fieldsUsed: 0 },
    steps: [],
  };
  return executeQuery(query, documents, contextOf(plan, options));
}

/** Runs an aggregation through its plan. */
export function runAggregation(
  documents: readonly StoredDocument[],
  aggregation: Aggregation,
  options: MemoryOptions = {},
): AggregationResult {
  const plan = planSelection({
    selection: aggregation,
    order: undefined,
    after: undefined,
    wantsAll: true,
    indexes: options.indexes ?? [],
    unordered: [],
    canScanByInsertion: false,
  });
  const candidates = walk(documents, plan, options.indexes ?? []);
  return executeAggregation(aggregation, candidates, contextOf(plan, options));
}

/** The keys of a page, in its order. */
export function keysOf(page: QueryPage): readonly string[] {
  return page.documents.map((document) => document.key);
}

/** The parsed bodies of a page, in its order. */
export function bodiesOf(page: QueryPage): readonly unknown[] {
  return page.documents.map((document): unknown => JSON.parse(document.body));
}
