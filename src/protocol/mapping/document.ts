import { create, type JsonObject as WireObject, type JsonValue } from '@bufbuild/protobuf';
import { ValueSchema, type Value } from '@bufbuild/protobuf/wkt';
import { fromJson, toJson } from '@bufbuild/protobuf';

import {
  DocumentEncoding,
  DocumentSchema,
  WriteResultSchema,
  type Document,
  type DocumentBody as BodyMessage,
  type DocumentChange as ChangeMessage,
  type FieldTransform,
  type Precondition as PreconditionMessage,
  type WriteResult,
} from '../../../gen/molten/v1/documents_pb.ts';
import {
  type Json,
  type Precondition,
  type StoredDocument,
  toSequence,
  toVersion,
} from '../../domain/documents/model.ts';
import { encodeBody, parseBody } from '../../domain/documents/body.ts';
import type { DocumentChange, MergePaths } from '../../domain/documents/change.ts';
import type { PatchOperation } from '../../domain/documents/json-patch.ts';
import type { BodyToWrite } from '../../domain/documents/steps.ts';
import type { Transform } from '../../domain/documents/transform.ts';
import type { DocumentWritten } from '../../domain/documents/writes.ts';
import { parseFieldPath } from '../../domain/query/field-path.ts';
import { parseExtends } from '../../domain/query/join.ts';
import { DomainError } from '../../errors/domain-error.ts';
import { toTimestamp } from './time.ts';

/** A document as callers see it. */
export function toDocument(document: StoredDocument, encoding: DocumentEncoding): Document {
  const { collection, key, version, sequence, createdSequence, expiresAtMs, body } = document;
  return create(DocumentSchema, {
    ...{ collection, key, version, sequence, createSequence: createdSequence },
    createTime: toTimestamp(document.createdAtMs),
    updateTime: toTimestamp(document.modifiedAtMs),
    ...(expiresAtMs === undefined ? {} : { expireTime: toTimestamp(expiresAtMs) }),
    content:
      encoding === DocumentEncoding.JSON
        ? { case: 'json', value: Buffer.from(body) }
        : // Stored bodies are JSON objects; they were checked when they came.
          { case: 'fields', value: JSON.parse(body) as WireObject },
  });
}

/** What became of one document. */
export function toWriteResult(written: DocumentWritten): WriteResult {
  const { collection, key, version, sequence, created, kind, existed } = written;
  const deleted = kind === 'delete' && existed;
  return create(WriteResultSchema, { collection, key, version, sequence, created, deleted });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A body to write. `field` is its place in the request; `bytesMax` the bound of a document. */
export function fromBody(
  message: BodyMessage | undefined,
  field: string,
  bytesMax: number,
): BodyToWrite {
  const references =
    Object.keys(message?.extends ?? {}).length === 0 ? undefined : message?.extends;
  const extensions = parseExtends(references, `${field}.extends`);
  const content = message?.content;
  if (content?.case === 'json') {
    return { body: parseBody(textOf(content.value, field), field, bytesMax), extensions };
  }
  const value = content?.case === 'fields' ? content.value : null;
  return { body: encodeBody(value, field, bytesMax), extensions };
}

function textOf(bytes: Uint8Array, field: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new DomainError('ARGUMENT_INVALID', `${field}.json is not UTF-8`, {
      metadata: { field },
    });
  }
}

/** A precondition; absent stays absent. */
export function fromPrecondition(
  message: PreconditionMessage | undefined,
): Precondition | undefined {
  const condition = message?.condition;
  switch (condition?.case) {
    case 'exists':
      // Not an insertion: that it is there already is the same surprise as another version of it.
      return condition.value
        ? { kind: 'exists', exists: true }
        : { kind: 'version', version: toVersion(0) };
    case 'version':
      return { kind: 'version', version: toVersion(condition.value) };
    case 'sequence':
      return { kind: 'sequence', sequence: toSequence(condition.value) };
    default:
      return undefined;
  }
}

/** A partial change. ARGUMENT_INVALID when it changes nothing. */
export function fromChange(message: ChangeMessage | undefined, field: string): DocumentChange {
  const { merge, mergePaths = [], patch = [], transforms = [] } = message ?? {};
  if (merge === undefined && mergePaths.length > 0) {
    throw refuseChange(`${field}.mergePaths`, 'is given without merge');
  }
  if (merge === undefined && patch.length === 0 && transforms.length === 0) {
    throw refuseChange(field, 'is empty; give merge, patch or transforms');
  }
  return {
    merge: merge && {
      value: merge,
      paths: fromMergePaths(mergePaths, `${field}.mergePaths`),
    },
    patch: patch.map(({ op, path, from, value }) => ({
      op: op as PatchOperation['op'],
      ...{ path, from, value: value && fromValue(value) },
    })),
    transforms: transforms.map((one, at) =>
      fromTransform(one, `${field}.transforms[${String(at)}]`),
    ),
  };
}

function fromMergePaths(paths: readonly string[], field: string): MergePaths {
  if (paths.length === 0) return { kind: 'patch' };
  if (paths.length === 1 && paths[0] === '*') return { kind: 'replace' };
  const parsed = paths.map((path, at) => writablePath(path, `${field}[${String(at)}]`));
  return { kind: 'paths', paths: parsed };
}

function fromTransform({ path, transform }: FieldTransform, field: string): Transform {
  const target = writablePath(path, `${field}.path`);
  switch (transform.case) {
    case 'increment':
      return { kind: 'increment', path: target, by: transform.value };
    case 'minimum':
    case 'maximum':
      return { kind: transform.case, path: target, value: fromValue(transform.value) };
    case 'appendMissing':
    case 'removeAll':
      return { kind: transform.case, path: target, values: transform.value.values.map(fromValue) };
    case 'serverTime':
    case 'unset':
      return { kind: transform.case, path: target };
    default:
      throw refuseChange(field, 'names no transform');
  }
}

function writablePath(text: string, field: string): readonly string[] {
  const path = parseFieldPath(text, { field, reason: 'ARGUMENT_INVALID' });
  if (path[0]?.startsWith('_') !== true || path[0] === '__proto__') return path;
  throw refuseChange(field, `is '${text}'; names that start with '_' belong to the server`);
}

function refuseChange(field: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}

/** A google.protobuf.Value as JSON. ARGUMENT_INVALID when it holds what JSON cannot. */
export function fromValue(value: Value): Json {
  try {
    return toJson(ValueSchema, value);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DomainError('ARGUMENT_INVALID', `a value cannot be stored: ${problem}`, { cause });
  }
}

/** JSON as a google.protobuf.Value. */
export function toValue(json: Json): Value {
  return fromJson(ValueSchema, json as JsonValue);
}
