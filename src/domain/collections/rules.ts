import { invariant } from '../../errors/invariant.ts';
import { formatPath, isObject, isSystemField, parsePath } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { CollectionSettings, Json, JsonObject } from '../../storage/types.ts';
import { refuse } from '../query/refuse.ts';
import { compileSchema } from './schema.ts';

/** What breaking a schema leads to: the write fails, or it happens and is logged. */
export type Enforcement = 'enforce' | 'warn';

/** A schema and what breaking it leads to. */
export interface SchemaRule {
  /** A JSON Schema (2020-12) as JSON text. */
  readonly text: string;
  readonly enforcement: Enforcement;
}

/** When documents expire one by one. */
export interface DocumentTtl {
  /** Where the time is that `afterMs` counts from; undefined: the time of the write. */
  readonly field: Path | undefined;
  readonly afterMs: number;
}

/** The settings of a collection. */
export interface CollectionRules {
  readonly schema: SchemaRule | undefined;
  /** The collection is emptied this long after its last put, in milliseconds. */
  readonly ttlMs: number | undefined;
  readonly documentTtl: DocumentTtl | undefined;
  /** More documents than this remove the oldest. */
  readonly maxSize: number | undefined;
}

/** A collection that takes any object and keeps it. */
export const DEFAULT_RULES: CollectionRules = {
  ...{ schema: undefined, ttlMs: undefined, documentTtl: undefined, maxSize: undefined },
};

/** Settings to take: those named, where undefined removes; the others stay as they are. */
export interface RulesPatch {
  /** JSON text of an object. */
  readonly schema?: string | undefined;
  /** Undefined: `enforce`. */
  readonly enforcement?: Enforcement | undefined;
  readonly ttlMs?: number | undefined;
  readonly documentTtl?: DocumentTtl | undefined;
  readonly maxSize?: number | undefined;
}

/**
 * The rules after a change, checked: SCHEMA_INVALID for a schema that cannot be used, ARGUMENT_INVALID for
 * settings that mean nothing.
 */
export function applyPatch(before: CollectionRules, patch: RulesPatch): CollectionRules {
  const { schema: _text, enforcement: _mode, ...others } = patch;
  const rules = { ...before, ...others, schema: patchedSchema(before.schema, patch) };
  if (patch.schema !== undefined) compileSchema(patch.schema);
  if (patch.documentTtl !== undefined) checkDocumentTtl(patch.documentTtl);
  return rules;
}

function patchedSchema(
  before: SchemaRule | undefined,
  patch: RulesPatch,
): CollectionRules['schema'] {
  const text = 'schema' in patch ? patch.schema : before?.text;
  const enforcement = 'enforcement' in patch ? patch.enforcement : before?.enforcement;
  if (text !== undefined) return { text, enforcement: enforcement ?? 'enforce' };
  if (patch.enforcement === undefined) return undefined;
  const problem = 'is given, but there is no schema to enforce; give a schema too';
  throw refuse('ARGUMENT_INVALID', 'settings.schemaEnforcement', problem);
}

function checkDocumentTtl({ field, afterMs }: DocumentTtl): void {
  if (field === undefined && afterMs === 0) {
    const problem = 'is 0, so that documents would be gone once written; wants more, or a field';
    throw refuse('ARGUMENT_INVALID', 'settings.documentTtl.after', problem);
  }
  const [name] = field ?? [];
  if (!isSystemField(name)) return;
  const problem = `is the system field ${name}; leave it empty to count from the last write`;
  throw refuse('ARGUMENT_INVALID', 'settings.documentTtl.field', problem);
}

/** Rules as an engine stores them. */
export function toSettings({
  schema,
  ttlMs,
  documentTtl,
  maxSize,
}: CollectionRules): CollectionSettings {
  const field = documentTtl?.field;
  const rules = {
    schema,
    ttlMs,
    documentTtl: documentTtl && {
      afterMs: documentTtl.afterMs,
      ...(field === undefined ? {} : { field: formatPath(field) }),
    },
  };
  return { documentsMax: maxSize, rules: JSON.stringify(rules) };
}

/**
 * The rules that settings stand for. They were written by `toSettings`, perhaps of another release: what
 * is unknown or malformed is an InvariantError rather than a rule that silently does not hold.
 */
export function fromSettings({ documentsMax, rules }: CollectionSettings): CollectionRules {
  const stored = wantMembers(JSON.parse(rules) as Json, ['schema', 'ttlMs', 'documentTtl']);
  const { schema, ttlMs, documentTtl } = stored;
  return {
    schema: schema === undefined ? undefined : toSchemaRule(schema),
    ttlMs: ttlMs === undefined ? undefined : wantMs(ttlMs),
    documentTtl: documentTtl === undefined ? undefined : toDocumentTtl(documentTtl),
    maxSize: documentsMax,
  };
}

function toSchemaRule(stored: Json): SchemaRule {
  const { text, enforcement } = wantMembers(stored, ['text', 'enforcement']);
  invariant(typeof text === 'string', 'a stored schema is text');
  invariant(enforcement === 'enforce' || enforcement === 'warn', 'a stored schema has its mode');
  return { text, enforcement };
}

function toDocumentTtl(stored: Json): DocumentTtl {
  const { field, afterMs } = wantMembers(stored, ['field', 'afterMs']);
  if (field === undefined) return { field, afterMs: wantMs(afterMs) };
  const path = typeof field === 'string' ? parsePath(field) : undefined;
  invariant(path !== undefined, 'the stored field of a document ttl is a path');
  return { field: path, afterMs: wantMs(afterMs) };
}

function wantMembers(stored: Json, known: readonly string[]): JsonObject {
  invariant(isObject(stored), 'stored rules are objects');
  const unknown = Object.keys(stored).find((name) => !known.includes(name));
  invariant(unknown === undefined, `stored rules have no member '${String(unknown)}'`);
  return stored;
}

function wantMs(stored: Json | undefined): number {
  const isSpan = typeof stored === 'number' && Number.isSafeInteger(stored) && stored >= 0;
  invariant(isSpan, 'a stored span is a whole number of milliseconds');
  return stored;
}
