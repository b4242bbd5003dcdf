import { ALL_KEYS, type KeyAccess } from '../../storage/types.ts';
import {
  grant,
  isStoreAction,
  parseScope,
  type Action,
  type Grant,
  type Restriction,
  type KeyPattern,
  type Scope,
} from './scope.ts';

/** What a principal may do. */
export interface ScopeSet {
  readonly texts: readonly string[];
  /** Holds `*:*:*`. */
  readonly isAdmin: boolean;
  /** Holds `*:*:*`, and nothing takes away from it. */
  readonly isUnbounded: boolean;
  /** The keys of a collection that an action may touch. */
  keyAccess(action: Action, collection: string): KeyAccess;
  covers(action: Action, collection: string, key: string): boolean;
  /** Every key of the collection. */
  coversCollection(action: Action, collection: string): boolean;
  /** Every key of every collection. */
  coversStore(action: Action): boolean;
  /** At least some keys of the collection are granted. */
  reaches(action: Action, collection: string): boolean;
  /** At least some keys of some collection are granted. */
  reachesAny(action: Action): boolean;
  /** Fields of a collection that do not exist for the holder: names with dots between them. */
  hiddenFields(collection: string): readonly string[];
  /** What takes away; passed on to whatever is delegated. */
  readonly restrictions: readonly string[];
  /** A grant that this set covers; what takes away is always within. */
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
  readonly isUnbounded: boolean;
  readonly #grants: readonly Grant[];
  readonly #restrictions: readonly Restriction[];
  readonly #exempt: ReadonlySet<string>;

  constructor(scopes: readonly Scope[]) {
    const unique = [...new Map(scopes.map((scope) => [scope.text, scope])).values()];
    this.texts = unique.map(({ text }) => text);
    this.#grants = unique.filter((scope) => scope.kind === 'grant');
    this.#restrictions = unique.filter((scope) => scope.kind !== 'grant');
    this.#exempt = new Set(
      unique.flatMap((scope) => (scope.kind === 'exemption' ? [scope.collection] : [])),
    );
    this.isAdmin = this.#grants.some(({ action }) => action === 'all');
    this.isUnbounded = this.isAdmin && this.#restrictions.length === 0;
  }

  keyAccess(action: Action, collection: string): KeyAccess {
    const patterns = this.#grants
      .filter((scope) => this.#grantsIn(scope, action, collection))
      .map(({ key }) => key);
    if (patterns.some(({ kind }) => kind === 'all')) return ALL_KEYS;
    return {
      kind: 'some',
      keys: patterns.flatMap((pattern) => (pattern.kind === 'key' ? [pattern.key] : [])),
      prefixes: patterns.flatMap((pattern) => (pattern.kind === 'prefix' ? [pattern.prefix] : [])),
    };
  }

  covers(action: Action, collection: string, key: string): boolean {
    return this.#grants.some(
      (scope) => this.#grantsIn(scope, action, collection) && matches(scope.key, key),
    );
  }

  coversCollection(action: Action, collection: string): boolean {
    return this.#grants.some(
      (scope) => scope.key.kind === 'all' && this.#grantsIn(scope, action, collection),
    );
  }

  get restrictions(): readonly string[] {
    return this.#restrictions.map(({ text }) => text);
  }

  coversStore(action: Action): boolean {
    if (this.#exempt.size > 0 && !isStoreAction(action)) return false;
    return this.#grants.some(
      (scope) =>
        allows(scope, action) && scope.collection === undefined && scope.key.kind === 'all',
    );
  }

  reaches(action: Action, collection: string): boolean {
    return this.#grants.some((scope) => this.#grantsIn(scope, action, collection));
  }

  reachesAny(action: Action): boolean {
    return this.#grants.some((scope) => allows(scope, action));
  }

  hiddenFields(collection: string): readonly string[] {
    if (this.#restrictions.length === 0) return NOTHING;
    return this.#restrictions.flatMap((one) => {
      if (one.kind !== 'hiding') return [];
      return one.collection === undefined || one.collection === collection ? [one.field] : [];
    });
  }

  includes(scope: Scope): boolean {
    if (scope.kind !== 'grant') return true;
    return this.#grants.some((held) => {
      const isExempt = held.collection === undefined && this.#exempt.has(scope.collection ?? '');
      return !isExempt && isWithin(scope, held);
    });
  }

  isWithin(other: ScopeSet): boolean {
    const mine = new Set(this.texts);
    return (
      this.#grants.every((scope) => other.includes(scope)) &&
      other.restrictions.every((text) => mine.has(text))
    );
  }

  meet(other: ScopeSet): ScopeSet {
    const theirs = other.texts.map(parseScope).filter((scope) => scope.kind === 'grant');
    const grants = this.#grants.flatMap((mine) =>
      theirs.flatMap((scope) => {
        const both = meetOf(mine, scope);
        return both !== undefined && this.includes(both) && other.includes(both) ? [both] : [];
      }),
    );
    const restrictions = [...this.restrictions, ...other.restrictions].map(parseScope);
    return new UnionOfScopes([...grants, ...restrictions]);
  }

  #grantsIn(scope: Grant, action: Action, collection: string): boolean {
    if (!allows(scope, action)) return false;
    if (scope.collection === undefined) return !this.#exempt.has(collection);
    return scope.collection === collection;
  }
}

/** No rights. */
export const NO_SCOPES: ScopeSet = new UnionOfScopes([]);

const NOTHING: readonly string[] = [];

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
