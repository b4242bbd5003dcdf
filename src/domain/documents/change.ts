/**
 * Changes of a part of a document. Each takes the body as it is and gives the body as it shall be; none
 * touches what it was given. The caller applies them inside a transaction, so that two changes of one
 * document never lose one another.
 */
import { isObject, valueAt } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { JsonObject } from '../../storage/types.ts';
import { applyJsonPatch, type PatchOperation } from './json-patch.ts';
import { fromEntries, setAt } from './set-at.ts';
import { createTransforming, type Transform } from './transform.ts';

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

/** What a change is applied with. */
export interface ChangeContext {
  /** The time that transforms set, in Unix milliseconds. */
  readonly nowMs: number;
  /** The bound of a document; a patch that copies far beyond it is stopped on the way. */
  readonly bytesMax: number;
}

/** Applies a change. PATCH_INVALID when it does not fit the body; DOCUMENT_TOO_LARGE. */
export function applyChange(
  body: JsonObject,
  change: DocumentChange,
  { nowMs, bytesMax }: ChangeContext,
): JsonObject {
  const { merge, patch, transforms } = change;
  let result: JsonObject = merge === undefined ? body : applyMerge(body, merge);
  if (patch.length > 0) result = applyJsonPatch(result, patch, bytesMax);
  const transforming = createTransforming(nowMs);
  for (const transform of transforms) result = transforming.apply(result, transform);
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
