import { ALL_KEYS, type KeyAccess } from '../../storage/types.ts';
import {
  grant,
  isStoreAction,
  parseScope,
  type Action,
  type Grant,
  type Hiding,
  type KeyPattern,
  type Scope,
} from './scope.ts';

/** What a principal may do. */
export interface ScopeSet {
  readonly texts: readonly string[];
  /** Holds `*:*:*`. */
  readonly isAdmin: boolean;
  /** The keys of a collection that an action may touch. */
  keyAccess(action: Action, collection: string): KeyAccess;
  covers(action: Action, collection: string, key: string): boolean;
  /** Every key of the collection. */
  coversCollection(action: Action, collection: string): boolean;
  /** Every key of every collection. */
  coversStore(action: Action): boolean;
  /** The collections of which at least some keys are granted. */
  collections(action: Action): 'all' | ReadonlySet<string>;
  /** Fields of a collection that do not exist for the holder: names with dots between them. */
  hiddenFields(collection: string): readonly string[];
  /** A grant that this set covers; a hiding is always within. */
  includes(scope: Scope): boolean;
  /** The same rights, or fewer: everything `other` grants is granted here, and hidden here only if there. */
  isWithin(other: ScopeSet): boolean;
  /** What both grant; hidden is what either hides. */
  meet(other: ScopeSet): ScopeSet;
}

/** Parses scopes into a set. ARGUMENT_INVALID when one of them is none. */
export function createScopeSet(texts: readonly string[]): ScopeSet {
  return new UnionOfScopes(texts.map(parseScope));
}

class UnionOfScopes implements ScopeSet {
  readonly texts: readonly string[];
  readonly isAdmin: boolean;
  readonly #grants: readonly Grant[];
  readonly #hidings: readonly Hiding[];

  constructor(scopes: readonly Scope[]) {
    const unique = [...new Map(scopes.map((scope) => [scope.text, scope])).values()];
    this.texts = unique.map(({ text }) => text);
    this.#grants = unique.filter((scope) => scope.kind === 'grant');
    this.#hidings = unique.filter((scope) => scope.kind === 'hiding');
    this.isAdmin = this.#grants.some(({ action }) => action === 'all');
  }

  keyAccess(action: Action, collection: string): KeyAccess {
    const patterns = this.#granting(action, collection).map(({ key }) => key);
    if (patterns.some(({ kind }) => kind === 'all')) return ALL_KEYS;
    return {
      kind: 'some',
      keys: patterns.flatMap((pattern) => (pattern.kind === 'key' ? [pattern.key] : [])),
      prefixes: patterns.flatMap((pattern) => (pattern.kind === 'prefix' ? [pattern.prefix] : [])),
    };
  }

  covers(action: Action, collection: string, key: string): boolean {
    return this.#granting(action, collection).some(({ key: pattern }) => matches(pattern, key));
  }

  coversCollection(action: Action, collection: string): boolean {
    return this.#granting(action, collection).some(({ key }) => key.kind === 'all');
  }

  coversStore(action: Action): boolean {
    return this.#grants.some(
      (scope) =>
        allows(scope, action) && scope.collection === undefined && scope.key.kind === 'all',
    );
  }

  collections(action: Action): 'all' | ReadonlySet<string> {
    const names = new Set<string>();
    for (const scope of this.#grants) {
      if (!allows(scope, action)) continue;
      if (scope.collection === undefined) return 'all';
      names.add(scope.collection);
    }
    return names;
  }

  hiddenFields(collection: string): readonly string[] {
    if (this.#hidings.length === 0) return NOTHING;
    return this.#hidings
      .filter((hiding) => hiding.collection === undefined || hiding.collection === collection)
      .map(({ field }) => field);
  }

  includes(scope: Scope): boolean {
    return scope.kind === 'hiding' || this.#grants.some((held) => isWithin(scope, held));
  }

  isWithin(other: ScopeSet): boolean {
    const mine = new Set(this.texts);
    return (
      this.#grants.every((scope) => other.includes(scope)) &&
      hidingsOf(other).every(({ text }) => mine.has(text))
    );
  }

  meet(other: ScopeSet): ScopeSet {
    const theirs = other.texts.map(parseScope);
    const hidings = [...this.#hidings, ...theirs.filter((scope) => scope.kind === 'hiding')];
    const grants = this.#grants.flatMap((mine) =>
      theirs.flatMap((scope) => (scope.kind === 'grant' ? (meetOf(mine, scope) ?? []) : [])),
    );
    return new UnionOfScopes([...grants, ...hidings]);
  }

  #granting(action: Action, collection: string): readonly Grant[] {
    return this.#grants.filter(
      (scope) =>
        allows(scope, action) &&
        (scope.collection === undefined || scope.collection === collection),
    );
  }
}

/** No rights. */
export const NO_SCOPES: ScopeSet = new UnionOfScopes([]);

const NOTHING: readonly string[] = [];

function hidingsOf(set: ScopeSet): readonly Hiding[] {
  return set.texts.map(parseScope).filter((scope) => scope.kind === 'hiding');
}

function allows({ action: held }: Grant, action: Action): boolean {
  return held === 'all' || held === action || (held === 'admin' && !isStoreAction(action));
}

function matches(pattern: KeyPattern, key: string): boolean {
  switch (pattern.kind) {
    case 'all':
      return true;
    case 'key':
      return key === pattern.key;
    case 'prefix':
      return key.startsWith(pattern.prefix);
  }
}

function isWithin(asked: Grant, held: Grant): boolean {
  return meetOf(asked, held)?.text === asked.text;
}

/** The scope of what two scopes both grant; undefined when that is nothing. */
function meetOf(a: Grant, b: Grant): Grant | undefined {
  const action = meetOfActions(a.action, b.action);
  const collection = meetOfCollections(a.collection, b.collection);
  const key = meetOfKeys(a.key, b.key);
  if (action === undefined || collection === undefined || key === undefined) return undefined;
  return grant({ action, collection, key });
}

function meetOfActions(a: Grant['action'], b: Grant['action']): Grant['action'] | undefined {
  if (a === b || b === 'all') return a;
  if (a === 'all') return b;
  if (a === 'admin') return isStoreAction(b) ? undefined : b;
  return b === 'admin' && !isStoreAction(a) ? a : undefined;
}

function meetOfCollections(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined) return b ?? '*';
  return b === undefined || b === a ? a : undefined;
}

function meetOfKeys(a: KeyPattern, b: KeyPattern): KeyPattern | undefined {
  if (a.kind === 'all') return b;
  if (b.kind === 'all') return a;
  if (a.kind === 'key') return matches(b, a.key) ? a : undefined;
  if (b.kind === 'key') return matches(a, b.key) ? b : undefined;
  if (a.prefix.startsWith(b.prefix)) return a;
  return b.prefix.startsWith(a.prefix) ? b : undefined;
}
