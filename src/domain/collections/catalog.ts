import { LRUCache } from 'lru-cache';

import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { valueAt } from '../../storage/query/path.ts';
import type { CollectionRecord, JsonObject } from '../../storage/types.ts';
import { fromSettings, type CollectionRules, type DocumentTtl } from './rules.ts';
import { compileSchema, type SchemaValidator, type SchemaViolation } from './schema.ts';

/** A collection with its rules ready to be applied. */
export interface OpenCollection {
  readonly record: CollectionRecord;
  readonly rules: CollectionRules;
  /** Its `ttl` has passed: everybody sees it empty, and the next write empties it. */
  readonly isExpired: boolean;
  /** What a body breaks of the schema; empty when there is none. */
  violations(body: JsonObject): readonly SchemaViolation[];
  /** When a document with this body, written at `nowMs`, expires. Unix milliseconds. */
  expiryOf(body: JsonObject, nowMs: number): number | undefined;
}

/** Finds collections and keeps what is expensive to prepare. */
export interface Catalog {
  find(name: string): Promise<OpenCollection | undefined>;
}

interface Prepared {
  readonly rules: CollectionRules;
  readonly validate: SchemaValidator | undefined;
}

const PREPARED_MAX = 1000;

/** Creates the catalog of a store. */
export function createCatalog({
  engine,
  clock,
}: {
  readonly engine: StorageEngine;
  readonly clock: Clock;
}): Catalog {
  const prepared = new LRUCache<string, Prepared>({ max: PREPARED_MAX });

  function prepare(record: CollectionRecord): Prepared {
    const name = `${record.uid} ${String(record.revision)}`;
    let found = prepared.get(name);
    if (found === undefined) {
      const rules = fromSettings(record.settings);
      const { schema } = rules;
      found = { rules, validate: schema && compileSchema(schema.text) };
      prepared.set(name, found);
    }
    return found;
  }

  return {
    async find(name) {
      const record = await engine.findCollection(name);
      if (record === undefined) return undefined;
      const { rules, validate } = prepare(record);
      return {
        ...{ record, rules },
        isExpired: expiryOfCollection(record, rules) <= clock.now(),
        violations: (body) => validate?.(body) ?? [],
        expiryOf: (body, nowMs) => rules.documentTtl && expiryOf(body, rules.documentTtl, nowMs),
      };
    },
  };
}

/** When a collection with a `ttl` is emptied, in Unix milliseconds; Infinity without one, or while empty. */
export function expiryOfCollection(record: CollectionRecord, { ttlMs }: CollectionRules): number {
  if (ttlMs === undefined || record.documents === 0) return Infinity;
  return record.lastPutAtMs + ttlMs;
}

function expiryOf(body: JsonObject, ttl: DocumentTtl, nowMs: number): number | undefined {
  if (ttl.field === undefined) return nowMs + ttl.afterMs;
  const value = valueAt(body, ttl.field);
  const startMs = typeof value === 'string' ? parseTime(value) : value;
  const isTime = typeof startMs === 'number' && Math.abs(startMs) <= TIME_MAX_MS;
  return isTime ? Math.max(0, Math.ceil(startMs + ttl.afterMs)) : undefined;
}

/** The largest time a Date can hold (ECMA-262). */
const TIME_MAX_MS = 8.64e15;
const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

function parseTime(text: string): number | undefined {
  if (!RFC_3339.test(text)) return undefined;
  const ms = Date.parse(text.toUpperCase().replace(' ', 'T'));
  return Number.isNaN(ms) ? undefined : ms;
}
