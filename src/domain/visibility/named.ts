import { isHiddenAt, stepInto, type HiddenPlace } from '../../storage/query/hidden.ts';
import { isArray, isObject } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { Json } from '../../storage/types.ts';

/**
 * The path of the first hidden member that a value has; undefined when it has none. An element that is
 * hidden by its number may be null, which is how it is shown.
 */
export function hiddenNameIn(value: Json, place: HiddenPlace): Path | undefined {
  if (place.length === 0) return undefined;
  if (isArray(value)) {
    return firstOf(value.entries(), (at, item) => {
      const below = stepInto(place, String(at));
      if (!isHiddenAt(below)) return hiddenNameIn(item, below);
      return item === null ? undefined : [];
    });
  }
  if (!isObject(value)) return undefined;
  return firstOf(Object.entries(value), (name, member) => {
    const below = stepInto(place, name);
    return isHiddenAt(below) ? [] : hiddenNameIn(member, below);
  });
}

function firstOf<N extends string | number>(
  entries: Iterable<readonly [N, Json]>,
  find: (name: N, value: Json) => Path | undefined,
): Path | undefined {
  for (const [name, value] of entries) {
    const found = find(name, value);
    if (found !== undefined) return [String(name), ...found];
  }
  return undefined;
}
