import { DomainError } from '../../errors/domain-error.ts';
import { formatPath, isArray, isObject } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { Json, JsonObject } from '../../storage/types.ts';

/**
 * A copy of a body with the value at a path; undefined removes it. Objects missing on the way are made;
 * something else in the way is PATCH_INVALID.
 */
export function setAt(body: JsonObject, path: Path, value: Json | undefined): JsonObject {
  const changed = setIn(body, path, { path, value });
  return isObject(changed) ? changed : body;
}

interface Setting {
  readonly path: Path;
  readonly value: Json | undefined;
}

function setIn(target: Json | undefined, rest: Path, setting: Setting): Json | undefined {
  const [name, ...deeper] = rest;
  if (name === undefined) return setting.value;
  if (isArray(target)) return setInList(target, rest, setting);
  if (target !== undefined && !isObject(target)) {
    if (setting.value === undefined) return target;
    throw blocked(setting.path);
  }
  if (target === undefined && setting.value === undefined) return undefined;
  const members = new Map(Object.entries(target ?? {}));
  const inner = setIn(members.get(name), deeper, setting);
  if (inner === undefined) members.delete(name);
  else members.set(name, inner);
  return fromEntries(members);
}

function setInList(target: readonly Json[], rest: Path, setting: Setting): Json {
  const [name = '', ...deeper] = rest;
  const at = /^\d{1,9}$/.test(name) ? Number(name) : -1;
  const isThere = at >= 0 && at < target.length;
  if (!isThere) {
    if (setting.value === undefined) return target;
    throw blocked(setting.path);
  }
  const inner = setIn(target[at], deeper, setting);
  return target.flatMap((item, index) => {
    if (index !== at) return [item];
    return inner === undefined ? [] : [inner];
  });
}

/** An object of entries, own members only: `__proto__` becomes a member like any other. */
export function fromEntries(entries: Iterable<readonly [string, Json]>): JsonObject {
  return Object.fromEntries(entries);
}

function blocked(path: Path): DomainError {
  const field = formatPath(path);
  return new DomainError(
    'PATCH_INVALID',
    `'${field}' cannot be set: what is on the way there is neither an object nor a list of that length`,
    { metadata: { field } },
  );
}
