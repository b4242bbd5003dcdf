import { LRUCache } from 'lru-cache';

import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { valueAt } from '../../storage/query/path.ts';
import type { CollectionRecord, Json, JsonObject } from '../../storage/types.ts';
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
  /** Compiles at the first call: reads need no schema. */
  readonly validate: SchemaValidator;
}

/** Collections kept prepared, and the sum of their rules in characters: compiled schemas are large. */
const PREPARED_MAX = 1000;
const PREPARED_CHARS_MAX: number = 8 * 1024 * 1024;

/** Creates the catalog of a store. */
export function createCatalog({
  engine,
  clock,
}: {
  readonly engine: StorageEngine;
  readonly clock: Clock;
}): Catalog {
  const prepared = new LRUCache<string, Prepared>({
    ...{ max: PREPARED_MAX, maxSize: PREPARED_CHARS_MAX },
  });

  function prepare(record: CollectionRecord): Prepared {
    const name = `${record.uid} ${String(record.revision)}`;
    let found = prepared.get(name);
    if (found === undefined) {
      const rules = fromSettings(record.settings);
      found = { rules, validate: validatorOf(rules) };
      prepared.set(name, found, { size: record.settings.rules.length });
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
        violations: validate,
        expiryOf: (body, nowMs) => rules.documentTtl && expiryOf(body, rules.documentTtl, nowMs),
      };
    },
  };
}

function validatorOf({ schema }: CollectionRules): SchemaValidator {
  if (schema === undefined) return () => [];
  let compiled: SchemaValidator | undefined;
  return (body) => {
    compiled ??= compileSchema(schema.text);
    return compiled(body);
  };
}

/** When a collection with a `ttl` is emptied, in Unix milliseconds; Infinity without one, or while empty. */
export function expiryOfCollection(
  record: CollectionRecord,
  { ttlMs }: Pick<CollectionRules, 'ttlMs'>,
): number {
  if (ttlMs === undefined || record.documents === 0) return Infinity;
  return record.lastPutAtMs + ttlMs;
}

function expiryOf(body: JsonObject, ttl: DocumentTtl, nowMs: number): number | undefined {
  const startMs = ttl.field === undefined ? nowMs : timeOf(valueAt(body, ttl.field));
  if (startMs === undefined) return undefined;
  const endMs = Math.ceil(startMs + ttl.afterMs);
  return endMs <= TIME_MAX_MS ? Math.max(0, endMs) : undefined;
}

/** The end of the year 9999, the last moment that RFC 3339 can write. What ends later never ends. */
const TIME_MAX_MS = Date.UTC(10_000, 0) - 1;
const RFC_3339 =
  /^(\d{4}-\d{2}-\d{2})[Tt ]((?:[01]\d|2[0-3]):\d{2}:\d{2}(?:\.\d+)?)([Zz]|[+-]\d{2}:\d{2})$/;

/** A moment in Unix milliseconds: a number as it is, or text by RFC 3339; undefined for all else. */
function timeOf(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const [, date, time, zone] = RFC_3339.exec(value) ?? [];
  if (date === undefined || time === undefined || zone === undefined) return undefined;
  // Date.parse takes the 30th of February for the 2nd of March.
  const day = new Date(`${date}T00:00:00Z`);
  const ms = Date.parse(`${date}T${time}${zone.toUpperCase()}`);
  if (Number.isNaN(day.getTime()) || Number.isNaN(ms)) return undefined;
  return day.toISOString().startsWith(date) ? ms : undefined;
}
