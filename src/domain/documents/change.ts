/**
 * Changes of a part of a document. Each takes the body as it is and gives the body as it shall be; none
 * touches what it was given. The caller applies them inside a transaction, so that two changes of one
 * document never lose one another.
 */
import { applyPatch } from 'rfc6902';

import { DomainError } from '../../errors/domain-error.ts';
import { isObject, valueAt } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { Json, JsonObject } from '../../storage/types.ts';
import { fromEntries, setAt } from './set-at.ts';
import { applyTransform, type Transform } from './transform.ts';

/** One operation of a JSON Patch (RFC 6902). */
export interface PatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: string;
  readonly from: string;
  readonly value: Json | undefined;
}

/** What to take from the object that is merged. */
export type MergePaths =
  /** Merge as RFC 7396: members replace, objects merge, null removes. */
  | { readonly kind: 'patch' }
  /** Take the whole object. */
  | { readonly kind: 'replace' }
  /** Take these paths; one that is missing in the object is removed. */
  | { readonly kind: 'paths'; readonly paths: readonly Path[] };

/** A change: a merge, then a patch, then transforms. */
export interface DocumentChange {
  readonly merge: { readonly value: JsonObject; readonly paths: MergePaths } | undefined;
  readonly patch: readonly PatchOperation[];
  readonly transforms: readonly Transform[];
}

/** Applies a change. PATCH_INVALID when it does not fit the body. */
export function applyChange(body: JsonObject, change: DocumentChange, nowMs: number): JsonObject {
  const { merge, patch, transforms } = change;
  let result: JsonObject = merge === undefined ? body : applyMerge(body, merge);
  if (patch.length > 0) result = applyJsonPatch(result, patch);
  for (const transform of transforms) result = applyTransform(result, transform, nowMs);
  return result;
}

function applyMerge(
  body: JsonObject,
  { value, paths }: NonNullable<DocumentChange['merge']>,
): JsonObject {
  switch (paths.kind) {
    case 'patch':
      return mergePatch(body, value);
    case 'replace':
      return value;
    case 'paths':
      return paths.paths.reduce((result, path) => setAt(result, path, valueAt(value, path)), body);
  }
}

/** JSON Merge Patch (RFC 7396) of an object by an object. */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const members = new Map(Object.entries(target));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      members.delete(name);
      continue;
    }
    const before = members.get(name);
    const merged = isObject(value) ? mergePatch(isObject(before) ? before : {}, value) : value;
    members.set(name, merged);
  }
  return fromEntries(members);
}

/** RFC 6901: empty, or segments behind slashes, with `~0` for `~` and `~1` for `/`. */
const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;

function applyJsonPatch(body: JsonObject, patch: readonly PatchOperation[]): JsonObject {
  patch.forEach(({ path, from }, at) => {
    for (const pointer of [path, from]) {
      if (!POINTER.test(pointer)) {
        throw patchInvalid(at, `names '${pointer}', which is no JSON Pointer; it starts with '/'`);
      }
      if (pointer.startsWith('/_')) {
        throw patchInvalid(
          at,
          `names '${pointer}'; names that start with '_' belong to the server`,
        );
      }
    }
  });
  // The library changes what it is given.
  const target = { body: structuredClone(body) as unknown };
  const operations = patch.map(({ op, path, from, value }) => ({
    ...{ op, path: `/body${path}`, from: `/body${from}` },
    value: value === undefined ? undefined : structuredClone(value),
  }));
  // The shape of each operation was checked by its type.
  const problems = applyPatch(target, operations);
  problems.forEach((problem, at) => {
    if (problem !== null) throw patchInvalid(at, `does not apply: ${problem.message}`);
  });
  const result = target.body as Json;
  if (!isObject(result)) throw patchInvalid(patch.length - 1, 'replaces the document by no object');
  return result;
}

function patchInvalid(at: number, problem: string): DomainError {
  const field = `patch[${String(at)}]`;
  return new DomainError('PATCH_INVALID', `${field} ${problem}`, {
    metadata: { field },
    violations: [{ field, description: problem }],
  });
}
