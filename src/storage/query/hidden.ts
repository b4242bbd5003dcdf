/**
 * Parts of documents that do not exist for a reader, by dotted paths.
 *
 * A path hides what it addresses and everything below. Lists are gone through: a number in a document's
 * path that the hidden path does not name stands for any element, so that `history.salary` hides the
 * salary of every element of `history`; `tags.0` hides one element, which becomes null so that the others
 * keep their places. Numbers are taken the same way in objects, because a path does not tell them apart.
 *
 * A walk stands on all hidden paths that may still come to something. What it does depends on names alone,
 * never on what is stored, so that a refusal by path and a document without its hidden parts agree.
 */
import type { Json, JsonObject, StoredDocument } from '../types.ts';
import { createCandidate } from './candidate.ts';
import { isExactNumber, parseExact } from './exact-json.ts';
import { elementIndex, isArray, isObject } from './path.ts';
import type { Path } from './query.ts';

interface HiddenNode {
  /** What is here is hidden, and all that is below. */
  isHidden: boolean;
  readonly children: Map<string, HiddenNode>;
}

/** Where a walk through a document stands. Empty: nothing is hidden here or below. */
export type HiddenPlace = readonly HiddenNode[];

/** The place of a whole document. */
export function hiddenRoot(paths: readonly Path[]): HiddenPlace {
  const root: HiddenNode = { isHidden: false, children: new Map() };
  for (const path of paths) {
    let node = root;
    for (const segment of path) {
      let next = node.children.get(segment);
      if (next === undefined) {
        next = { isHidden: false, children: new Map() };
        node.children.set(segment, next);
      }
      node = next;
    }
    node.isHidden = true;
  }
  return [root];
}

/** Reports whether what is at a place is hidden, or lies below something hidden. */
export function isHiddenAt(place: HiddenPlace): boolean {
  return place.some(({ isHidden }) => isHidden);
}

/** One step down: a member's name, or an element's number (`-` is the one behind the last). */
export function stepInto(place: HiddenPlace, segment: string): HiddenPlace {
  const isElement = segment === '-' || elementIndex(segment) !== undefined;
  return place.flatMap((node) => {
    if (node.isHidden) return [node];
    const child = node.children.get(segment);
    return [...(isElement ? [node] : []), ...(child === undefined ? [] : [child])];
  });
}

/** Down a whole path. */
export function walkTo(place: HiddenPlace, path: Path): HiddenPlace {
  return path.reduce(stepInto, place);
}

/** One step down, into whichever element. */
export function intoElements(place: HiddenPlace): HiddenPlace {
  return [...place, ...place.flatMap(({ children }) => [...children].flatMap(numbered))];
}

/** Reports whether single elements of a list at this place are hidden by their number. */
export function namesElements(place: HiddenPlace): boolean {
  return intoElements(place).length > place.length;
}

/** Reports whether members of an object at this place are hidden, whether or not they are there. */
export function hidesMembers(place: HiddenPlace): boolean {
  return place.some(({ children }) => [...children.values()].some(({ isHidden }) => isHidden));
}

function numbered([name, node]: readonly [string, HiddenNode]): readonly HiddenNode[] {
  return elementIndex(name) === undefined ? [] : [node];
}

/** An object, and no number that `parseExact` kept. */
export function isMembers(value: Json | undefined): value is JsonObject {
  return isObject(value) && !isExactNumber(value);
}

/** A copy of a body without its hidden parts. Objects that lose all their members stay, empty. */
export function stripBody(body: JsonObject, place: HiddenPlace): JsonObject {
  const members = Object.entries(body).flatMap(([name, value]) => {
    const below = stepInto(place, name);
    return isHiddenAt(below) ? [] : [[name, stripValue(value, below)] as const];
  });
  return Object.fromEntries(members);
}

/** A copy of a value at a place that is not hidden itself, without its hidden parts. */
export function stripValue(value: Json, place: HiddenPlace): Json {
  if (place.length === 0) return value;
  if (isArray(value)) {
    return value.map((item, at) => {
      const below = stepInto(place, String(at));
      return isHiddenAt(below) ? null : stripValue(item, below);
    });
  }
  return isMembers(value) ? stripBody(value, place) : value;
}

/**
 * The JSON text of a document without its hidden parts. It is written anew whether or not it had any, so
 * that its form does not tell; numbers keep their digits. CORRUPTION_DETECTED for a body that is none.
 */
export function stripText(document: StoredDocument, place: HiddenPlace): string {
  // Fails in the words of a corrupt document.
  createCandidate(document).body();
  return JSON.stringify(stripValue(parseExact(document.body), place));
}
