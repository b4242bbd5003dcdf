import type { Json, JsonObject, StoredDocument } from '../types.ts';
import { systemValue, type Candidate } from './candidate.ts';
import { hiddenRoot, stripBody, stripText, type HiddenPlace } from './hidden.ts';
import { elementIndex, isArray, isObject, isSystemField } from './path.ts';
import type { Join, Path, Projection } from './query.ts';

/** Renders the body of a result as JSON text: projected, with joined documents embedded. */
export type Projector = (candidate: Candidate) => string;

/**
 * Compiles what a result shows. Without a projection and without a joined document it is the stored
 * text, byte for byte; otherwise numbers are re-written as doubles. `include` embeds every joined
 * document whole; `exclude` also reaches into them by alias. Hidden paths are gone before anything else
 * is looked at.
 */
export function compileProjection(
  projection: Projection | undefined,
  joins: readonly Join[],
  hidden?: readonly Path[],
): Projector {
  const place = hidden === undefined ? undefined : hiddenRoot(hidden);
  const whole = wholeText(place);
  if (projection === undefined && joins.length === 0) return whole;
  const aliases = [...new Map(joins.map((join) => [join.alias, compileEmbedding(join)])).values()];
  const tree = projection === undefined ? undefined : treeOf(projection.paths);
  const isInclusion = projection?.kind === 'include';
  return (candidate) => {
    const embedded = aliases.flatMap((embed) => embed(candidate));
    if (tree === undefined && embedded.length === 0) return whole(candidate);
    const body = bodyAt(candidate, place);
    const own = tree !== undefined && isInclusion ? includeMembers(body, tree) : body;
    const all = embedded.length === 0 ? own : withMembers(own, embedded);
    const shown = tree === undefined || isInclusion ? all : excludeMembers(all, tree);
    return JSON.stringify(shown);
  };
}

/** Compiles how results are shown: projected, and where anything is hidden without when they expire. */
export function compileShown(
  projection: Projection | undefined,
  joins: readonly Join[],
  hidden: readonly Path[] | undefined,
): (candidate: Candidate) => StoredDocument {
  const project = compileProjection(projection, joins, hidden);
  return (candidate) => {
    const shown = { ...candidate.document, body: project(candidate) };
    return hidden === undefined ? shown : { ...shown, expiresAtMs: undefined };
  };
}

function wholeText(place: HiddenPlace | undefined): Projector {
  if (place === undefined) return ({ document }) => document.body;
  return ({ document }) => stripText(document, place);
}

function bodyAt(candidate: Candidate, place: HiddenPlace | undefined): JsonObject {
  return place === undefined ? candidate.body() : stripBody(candidate.body(), place);
}

/** The paths of a projection as a tree; a node without branches stands for everything below it. */
type PathTree = ReadonlyMap<string, PathTree>;

function treeOf(paths: readonly Path[]): PathTree {
  const root = new Map<string, PathTree>();
  for (const path of paths) {
    const isSystem = path.length === 1 && isSystemField(path[0]);
    if (!isSystem) plant(root, path);
  }
  return root;
}

function plant(root: Map<string, PathTree>, path: Path): void {
  let node = root;
  for (const [depth, segment] of path.entries()) {
    const isLast = depth === path.length - 1;
    const known = node.get(segment) as Map<string, PathTree> | undefined;
    if (known?.size === 0) return;
    const next = isLast || known === undefined ? new Map<string, PathTree>() : known;
    node.set(segment, next);
    node = next;
  }
}

/** Keeps only what a tree names, rebuilt nested. Paths that match nothing leave no trace. */
export function includeMembers(body: JsonObject, tree: PathTree): JsonObject {
  const members = [...tree].flatMap(([name, below]) => {
    const value = Object.hasOwn(body, name) ? body[name] : undefined;
    const kept = value === undefined ? undefined : include(value, below);
    return kept === undefined ? [] : [[name, kept] as const];
  });
  return Object.fromEntries(members);
}

function include(value: Json, tree: PathTree): Json | undefined {
  if (tree.size === 0) return value;
  if (isArray(value)) return includeElements(value, tree);
  if (!isObject(value)) return undefined;
  const kept = includeMembers(value, tree);
  return Object.keys(kept).length === 0 ? undefined : kept;
}

/** Elements keep their places: those before and between the ones asked for become null. */
function includeElements(items: readonly Json[], tree: PathTree): readonly Json[] | undefined {
  const kept: Json[] = [];
  for (const [segment, below] of tree) {
    const index = elementIndex(segment);
    const item = index === undefined ? undefined : items[index];
    const shown = item === undefined ? undefined : include(item, below);
    if (index === undefined || shown === undefined) continue;
    while (kept.length < index) kept.push(null);
    kept[index] = shown;
  }
  return kept.length === 0 ? undefined : kept;
}

/** Leaves out what a tree names, and every object below the top that becomes empty by it. */
export function excludeMembers(body: JsonObject, tree: PathTree): JsonObject {
  const members = Object.entries(body).flatMap(([name, value]) => {
    const below = tree.get(name);
    const kept = below === undefined ? value : exclude(value, below);
    return kept === undefined ? [] : [[name, kept] as const];
  });
  return Object.fromEntries(members);
}

function exclude(value: Json, tree: PathTree): Json | undefined {
  if (tree.size === 0) return undefined;
  // Elements keep their places: one left out becomes null.
  if (isArray(value)) {
    return value.map((item, at) => {
      const below = tree.get(String(at));
      return below === undefined ? item : (exclude(item, below) ?? null);
    });
  }
  if (!isObject(value)) return value;
  const kept = excludeMembers(value, tree);
  const isEmptied = Object.keys(kept).length === 0 && Object.keys(value).length > 0;
  return isEmptied ? undefined : kept;
}

function withMembers(body: JsonObject, members: readonly (readonly [string, Json])[]): JsonObject {
  return Object.fromEntries([...Object.entries(body), ...members]);
}

/** Compiles what of a joined document appears under its alias; nothing when there is none. */
function compileEmbedding(
  join: Join,
): (candidate: Candidate) => readonly (readonly [string, JsonObject])[] {
  const { alias, fields, hidden } = join;
  const place = hidden === undefined ? undefined : hiddenRoot(hidden);
  const tree = fields === undefined ? undefined : treeOf(fields);
  const named = (fields ?? []).map(([name]) => name).filter(isSystemField);
  const shown = new Set(join.systemFields ? (['_key', '_v', ...named] as const) : named);
  return (candidate) => {
    const joined = candidate.joined(alias);
    if (joined === undefined) return [];
    const body = bodyAt(joined, place);
    const system = [...shown].flatMap((field) => {
      const value = systemValue(field, joined.document);
      return value === undefined ? [] : [[field, value] as const];
    });
    return [[alias, withMembers(tree === undefined ? body : includeMembers(body, tree), system)]];
  };
}
