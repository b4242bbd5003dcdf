/**
 * Puts hidden values back where a writer who cannot see them has written.
 *
 * Every decision looks only at what the writer can see: which objects and lists are there, and the hidden
 * paths. Whether a hidden value is stored decides nothing but whether it is stored again. So nothing that
 * may hold one can go away: an object that a replacement leaves out stays, with its hidden members alone;
 * anything else that would take the place of one is refused.
 *
 * Elements of lists are known by what is visible of them. Those that stay as they are keep what is hidden
 * in them wherever they go; as many others as are left on both sides are taken for changed, in order.
 */
import type { DomainError } from '../../errors/domain-error.ts';
import { canonicalText } from '../../storage/query/encode.ts';
import { isExactNumber, parseExact } from '../../storage/query/exact-json.ts';
import {
  hidesMembers,
  isHiddenAt,
  isMembers,
  namesElements,
  stepInto,
  stripValue,
  type HiddenPlace,
} from '../../storage/query/hidden.ts';
import { isArray } from '../../storage/query/path.ts';
import type { Path } from '../../storage/query/query.ts';
import type { Json, JsonObject, StoredDocument } from '../../storage/types.ts';

/** A body and its text. */
export interface BodyText {
  readonly text: string;
  readonly value: JsonObject;
}

/**
 * What leaving out an object means that may hold something hidden: a replacement that does not know of it
 * keeps it, a change that takes it away is refused.
 */
export type Omission = 'keeps' | 'refused';

/** What is kept, and how. */
export interface Keeping {
  readonly root: HiddenPlace;
  readonly omission: Omission;
  /** The failure of a write that leaves no place for what `path` may hold. */
  readonly lost: (path: Path) => DomainError;
}

/** The body to store; numbers keep their digits. The body has no hidden members of its own. */
export function keepHidden(
  { text }: BodyText,
  stored: StoredDocument,
  { root, omission, lost }: Keeping,
): BodyText {
  const keeper = new Keeper(omission, lost);
  const spot = { place: root, path: [] };
  const kept = keeper.keep(parseExact(text), parseExact(stored.body), spot);
  const whole = JSON.stringify(kept);
  // The top of a body is an object, before and after.
  return { text: whole, value: JSON.parse(whole) as JsonObject };
}

interface Spot {
  readonly place: HiddenPlace;
  readonly path: Path;
}

class Keeper {
  readonly #omission: Omission;
  readonly #lost: Keeping['lost'];

  constructor(omission: Omission, lost: Keeping['lost']) {
    this.#omission = omission;
    this.#lost = lost;
  }

  /** What stands at a spot when `next` is written over `stored`; undefined: nothing. */
  keep(next: Json | undefined, stored: Json, spot: Spot): Json | undefined {
    if (!mayHold(stored, spot.place)) return next;
    if (isArray(stored)) {
      if (!isArray(next)) throw this.#lost(spot.path);
      return namesElements(spot.place)
        ? this.#keepPlaces(next, stored, spot)
        : this.#keepElements(next, stored, spot);
    }
    const isLeftOut = next === undefined && this.#omission === 'keeps';
    const members = isLeftOut ? {} : next;
    if (!isMembers(members) || !isMembers(stored)) throw this.#lost(spot.path);
    return this.#keepMembers(members, stored, spot);
  }

  #keepMembers(next: JsonObject, stored: JsonObject, spot: Spot): JsonObject {
    const members = new Map(Object.entries(next));
    for (const [name, value] of Object.entries(stored)) {
      const below = inside(spot, name);
      const kept = isHiddenAt(below.place) ? value : this.keep(members.get(name), value, below);
      if (kept !== undefined) members.set(name, kept);
    }
    return Object.fromEntries(members);
  }

  /** Where elements are hidden by their number, each stays where it is. */
  #keepPlaces(next: readonly Json[], stored: readonly Json[], spot: Spot): readonly Json[] {
    if (next.length < stored.length) throw this.#lost(spot.path);
    return next.map((item, at) => {
      const before = stored[at];
      if (before === undefined) return item;
      const below = inside(spot, String(at));
      return isHiddenAt(below.place) ? before : (this.keep(item, before, below) ?? null);
    });
  }

  #keepElements(next: readonly Json[], stored: readonly Json[], spot: Spot): readonly Json[] {
    const origins = originsOf(next, stored, spot.place);
    if (origins === undefined) throw this.#lost(spot.path);
    return next.map((item, at) => {
      const origin = stored[origins[at] ?? -1];
      if (origin === undefined) return item;
      return this.keep(item, origin, inside(spot, String(at))) ?? null;
    });
  }
}

function inside({ place, path }: Spot, segment: string): Spot {
  return { place: stepInto(place, segment), path: [...path, segment] };
}

/** Reports whether something hidden may be in a value, by what is visible of it. */
function mayHold(value: Json, place: HiddenPlace): boolean {
  if (place.length === 0) return false;
  if (isArray(value)) {
    return value.some((item, at) => {
      const below = stepInto(place, String(at));
      return isHiddenAt(below) || mayHold(item, below);
    });
  }
  if (!isMembers(value)) return false;
  if (hidesMembers(place)) return true;
  return Object.entries(value).some(([name, member]) => mayHold(member, stepInto(place, name)));
}

/**
 * For each new element the stored one it comes from, -1 for none; undefined when a stored one that may
 * hold something hidden would be lost, or it cannot be told which one it has become.
 */
function originsOf(
  next: readonly Json[],
  stored: readonly Json[],
  place: HiddenPlace,
): readonly number[] | undefined {
  const before = stored.map((item) => textOf(stripValue(item, place)));
  const after = next.map(textOf);
  const origins = after.map((text, at) => (before[at] === text ? at : -1));
  const taken = new Set(origins);
  const unused = new Map<string, number[]>();
  for (const [at, text] of [...before.entries()].reverse()) {
    if (taken.has(at)) continue;
    const same = unused.get(text);
    if (same === undefined) unused.set(text, [at]);
    else same.push(at);
  }
  for (const [at, text] of after.entries()) {
    if (origins[at] === -1) origins[at] = unused.get(text)?.pop() ?? -1;
  }
  const left = [...unused.values()].flat().sort((a, b) => a - b);
  if (!left.some((at) => mayHold(stored[at] ?? null, place))) return origins;
  const changed = [...origins.entries()].filter(([, origin]) => origin === -1);
  if (changed.length !== left.length) return undefined;
  for (const [order, [at]] of changed.entries()) origins[at] = left[order] ?? -1;
  return origins;
}

/** The same for what a writer cannot tell apart: numbers are doubles. */
function textOf(item: Json): string {
  return canonicalText(withDoubles(item));
}

function withDoubles(value: Json): Json {
  if (isExactNumber(value)) return Number(JSON.stringify(value));
  if (isArray(value)) return value.map(withDoubles);
  if (!isMembers(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withDoubles(member)]),
  );
}
