import type { Clock } from '../../platform/clock.ts';
import type { IdSource } from '../../platform/ids.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import type { QueryCost } from '../../storage/query/query.ts';
import type { Catalog } from '../collections/catalog.ts';
import type { SchemaViolation } from '../collections/schema.ts';
import { QUERY_BOUNDS, type QueryBounds } from '../quota/query-limits.ts';

/** Bounds of single requests. */
export interface DocumentLimits {
  /** Bytes of JSON of one document. */
  readonly documentBytesMax: number;
  /** Keys or documents of one request. */
  readonly keysPerRequestMax: number;
  /** How much one query may do, as of now. */
  readonly query: () => QueryBounds;
}

/** The bounds of a server that was told nothing else. */
export const DOCUMENT_LIMITS: DocumentLimits = {
  documentBytesMax: 1024 * 1024,
  keysPerRequestMax: 1000,
  query: () => QUERY_BOUNDS,
};

/** Told of a write that broke a schema which only warns. */
export type SchemaWarning = (
  document: { readonly collection: string; readonly key: string },
  violations: readonly SchemaViolation[],
) => void;

/** A query that is over, in the words of a log: what it cost, and nothing that it asked or found. */
export interface EndedQuery {
  /** The name of the RPC. */
  readonly call: string;
  readonly requestId: string | undefined;
  readonly subject: string;
  readonly collection: string;
  /** With the wait for a thread. */
  readonly durationMs: number;
  /** Undefined: it failed. */
  readonly cost: QueryCost | undefined;
}

/** What documents are made of. */
export interface DocumentsParts {
  readonly engine: StorageEngine;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly limits: DocumentLimits;
  /** Seals page tokens; at least 32 bytes, the same on all nodes. */
  readonly pageTokenKey: Uint8Array;
  /** Collections must be made before documents are put. */
  readonly strict: boolean;
  readonly onSchemaWarning: SchemaWarning;
  /** Told of every query and aggregation when it is over. */
  readonly onQuery?: (query: EndedQuery) => void;
}
