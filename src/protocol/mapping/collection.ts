import { create, type JsonObject as WireObject } from '@bufbuild/protobuf';

import {
  CollectionSchema,
  CollectionSettingsSchema,
  IndexDirection,
  IndexSchema,
  IndexState,
  SchemaEnforcement,
  type Collection,
  type CollectionSettings,
  type DocumentTtl as DocumentTtlMessage,
  type Index,
  type IndexField as IndexFieldMessage,
} from '../../../gen/molten/v1/collections_pb.ts';
import type { CollectionView } from '../../domain/collections/collections.ts';
import type { IndexField, IndexRecord } from '../../domain/collections/model.ts';
import type {
  CollectionRules,
  DocumentTtl,
  Enforcement,
  RulesPatch,
} from '../../domain/collections/rules.ts';
import { parseFieldPath } from '../../domain/query/field-path.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { fromDuration, toDuration, toTimestamp } from './time.ts';

/**
 * The settings of a request that a mask of proto names takes. Without a mask those present; `*` is all.
 * ARGUMENT_INVALID for a name that is no setting.
 */
export function fromSettings(
  settings: CollectionSettings | undefined,
  mask: readonly string[],
): RulesPatch {
  const given = readSettings(settings);
  const names = mask.length === 0 ? presentIn(given) : mask.flatMap(expand);
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

/** A collection as callers see it. */
export function toCollection(view: CollectionView): Collection {
  const { record, rules, expiresAtMs, isExpired } = view;
  return create(CollectionSchema, {
    ...{ name: record.name, uid: record.uid, revision: record.revision, expired: isExpired },
    settings: toSettings(rules),
    documentCount: BigInt(record.documents),
    sizeBytes: BigInt(record.bytes),
    createTime: toTimestamp(record.createdAtMs),
    ...(expiresAtMs === undefined ? {} : { expireTime: toTimestamp(expiresAtMs) }),
  });
}

/** The fields of an index as the domain knows them. */
export function fromIndexField({ path, direction }: IndexFieldMessage): IndexField {
  return { path, direction: direction === IndexDirection.DESCENDING ? 'desc' : 'asc' };
}

/** An index as callers see it. */
export function toIndex(record: IndexRecord): Index {
  const { collection, name, fields, unique, state, documentsDone, failure, createdAtMs } = record;
  return create(IndexSchema, {
    ...{ collection, name, unique, failure, state: INDEX_STATES[state] },
    fields: fields.map(({ path, direction }) => ({ path, direction: DIRECTIONS[direction] })),
    indexedCount: BigInt(documentsDone),
    createTime: toTimestamp(createdAtMs),
  });
}

const INDEX_STATES = {
  building: IndexState.BUILDING,
  ready: IndexState.READY,
  failed: IndexState.FAILED,
} as const;

const DIRECTIONS = { asc: IndexDirection.ASCENDING, desc: IndexDirection.DESCENDING } as const;

/** Names of the mask and the rules they take. */
const MASK = new Map<string, readonly (keyof RulesPatch)[]>([
  ['schema', ['schema']],
  ['schema_enforcement', ['enforcement']],
  ['ttl', ['ttlMs']],
  ['document_ttl', ['documentTtl']],
  ['max_size', ['maxSize']],
  ['*', ['schema', 'enforcement', 'ttlMs', 'documentTtl', 'maxSize']],
]);

function expand(path: string): readonly (keyof RulesPatch)[] {
  const rules = MASK.get(path);
  if (rules !== undefined) return rules;
  const problem = `is '${path}', which is no setting; known are ${[...MASK.keys()].join(', ')}`;
  throw new DomainError('ARGUMENT_INVALID', `updateMask ${problem}`, {
    metadata: { field: 'updateMask' },
    violations: [{ field: 'updateMask', description: problem }],
  });
}

function presentIn(given: Required<RulesPatch>): readonly (keyof RulesPatch)[] {
  const names = MASK.get('*') ?? [];
  return names.filter((name) => given[name] !== undefined);
}

function readSettings(settings: CollectionSettings | undefined): Required<RulesPatch> {
  const schema = settings?.schema;
  return {
    schema: schema === undefined ? undefined : textOf(schema),
    enforcement: fromEnforcement(settings?.schemaEnforcement),
    ttlMs: fromDuration(settings?.ttl),
    documentTtl: fromDocumentTtl(settings?.documentTtl),
    maxSize: fromMaxSize(settings?.maxSize ?? 0n),
  };
}

function textOf(schema: WireObject): string {
  try {
    return JSON.stringify(schema);
  } catch {
    // The stack is the only thing that gives way: what comes from JSON has no cycles.
    throw new DomainError('SCHEMA_INVALID', 'the schema is nested too deep; make it flatter', {
      metadata: { field: 'settings.schema' },
    });
  }
}

function fromEnforcement(message: SchemaEnforcement | undefined): Enforcement | undefined {
  switch (message) {
    case SchemaEnforcement.ENFORCE:
      return 'enforce';
    case SchemaEnforcement.WARN:
      return 'warn';
    default:
      return undefined;
  }
}

function fromDocumentTtl(message: DocumentTtlMessage | undefined): DocumentTtl | undefined {
  if (message === undefined) return undefined;
  const origin = { field: 'settings.documentTtl.field', reason: 'ARGUMENT_INVALID' } as const;
  const field = message.field === '' ? undefined : parseFieldPath(message.field, origin);
  return { field, afterMs: fromDuration(message.after) ?? 0 };
}

function fromMaxSize(maxSize: bigint): number | undefined {
  if (maxSize === 0n) return undefined;
  if (maxSize <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(maxSize);
  const problem = `is ${String(maxSize)}; the limit is ${String(Number.MAX_SAFE_INTEGER)}`;
  throw new DomainError('ARGUMENT_INVALID', `settings.maxSize ${problem}`, {
    metadata: { field: 'settings.maxSize' },
    violations: [{ field: 'settings.maxSize', description: problem }],
  });
}

function toSettings({ schema, ttlMs, documentTtl, maxSize }: CollectionRules): CollectionSettings {
  const enforcement =
    schema?.enforcement === 'warn' ? SchemaEnforcement.WARN : SchemaEnforcement.ENFORCE;
  return create(CollectionSettingsSchema, {
    ...(schema && {
      // Checked to be an object when it came.
      schema: JSON.parse(schema.text) as WireObject,
      schemaEnforcement: enforcement,
    }),
    ...(ttlMs === undefined ? {} : { ttl: toDuration(ttlMs) }),
    ...(documentTtl && {
      documentTtl: {
        field: documentTtl.field?.join('.') ?? '',
        after: toDuration(documentTtl.afterMs),
      },
    }),
    maxSize: BigInt(maxSize ?? 0),
  });
}
