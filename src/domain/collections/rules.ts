import { invariant } from '../../errors/invariant.ts';
import { formatPath, isObject, parsePath } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { CollectionSettings } from '../../storage/types.ts';

/** A schema and what breaking it leads to. */
export interface SchemaRule {
  /** A JSON Schema (2020-12) as JSON text. */
  readonly text: string;
  readonly enforcement: 'enforce' | 'warn';
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

/** The rules that settings stand for; they were written by `toSettings`. */
export function fromSettings({ documentsMax, rules }: CollectionSettings): CollectionRules {
  const stored: unknown = JSON.parse(rules);
  invariant(isObject(stored), 'stored rules are an object');
  const { schema, ttlMs, documentTtl } = stored as StoredRules;
  return {
    ...{ schema, ttlMs, maxSize: documentsMax },
    documentTtl: documentTtl && {
      afterMs: documentTtl.afterMs,
      field: documentTtl.field === undefined ? undefined : parsePath(documentTtl.field),
    },
  };
}

interface StoredRules {
  readonly schema?: SchemaRule;
  readonly ttlMs?: number;
  readonly documentTtl?: { readonly field?: string; readonly afterMs: number };
}
