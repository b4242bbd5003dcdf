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
import type { CollectionRules, DocumentTtl, SchemaRule } from '../../domain/collections/rules.ts';
import { parseFieldPath } from '../../domain/query/field-path.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { fromDuration, toDuration, toTimestamp } from './time.ts';

/** The settings of a request as rules; what is absent is no rule. */
export function fromSettings(settings: CollectionSettings | undefined): CollectionRules {
  return {
    schema: fromSchema(settings),
    ttlMs: fromDuration(settings?.ttl),
    documentTtl: fromDocumentTtl(settings?.documentTtl),
    maxSize: settings === undefined ? undefined : fromMaxSize(settings.maxSize),
  };
}

/** The settings that a mask of proto names takes; without a mask, those present. */
export function fromMaskedSettings(
  settings: CollectionSettings | undefined,
  paths: readonly string[],
): Partial<CollectionRules> {
  const rules = fromSettings(settings);
  const names = paths.length === 0 ? presentIn(rules) : paths.flatMap(expand);
  return Object.fromEntries(names.map((name) => [name, rules[name]])) as Partial<CollectionRules>;
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
const MASK: Readonly<Record<string, readonly (keyof CollectionRules)[]>> = {
  schema: ['schema'],
  schema_enforcement: ['schema'],
  ttl: ['ttlMs'],
  document_ttl: ['documentTtl'],
  max_size: ['maxSize'],
  '*': ['schema', 'ttlMs', 'documentTtl', 'maxSize'],
};

function expand(path: string): readonly (keyof CollectionRules)[] {
  const rules = MASK[path];
  if (rules !== undefined) return rules;
  const known = Object.keys(MASK).join(', ');
  const problem = `names '${path}', which is no setting; known are ${known}`;
  throw new DomainError('ARGUMENT_INVALID', `updateMask ${problem}`, {
    violations: [{ field: 'updateMask', description: problem }],
  });
}

function presentIn(rules: CollectionRules): readonly (keyof CollectionRules)[] {
  const names: (keyof CollectionRules)[] = ['schema', 'ttlMs', 'documentTtl', 'maxSize'];
  return names.filter((name) => rules[name] !== undefined);
}

function fromSchema(settings: CollectionSettings | undefined): SchemaRule | undefined {
  if (settings?.schema === undefined) return undefined;
  const isWarning = settings.schemaEnforcement === SchemaEnforcement.WARN;
  return {
    text: JSON.stringify(settings.schema),
    enforcement: isWarning ? 'warn' : 'enforce',
  };
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
  throw new DomainError('ARGUMENT_INVALID', 'settings.maxSize is larger than 2^53 - 1');
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
