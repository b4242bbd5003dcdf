/**
 * Scopes: what a credential may do. One scope is `action:collection:key`; a set of them grants the union
 * and nothing else.
 *
 * - action: `read`, `write`, `delete`, `schema` or `admin`, and `*` only in `*:*:*`, the administrator;
 * - collection: a name, or `*` for all;
 * - key: a key, a prefix that ends in `*`, or `*` for all.
 */
import { DomainError } from '../../errors/domain-error.ts';
import { ALL_KEYS, type KeyAccess } from '../../storage/types.ts';

/** What a scope allows to do. */
export const ACTIONS = ['read', 'write', 'delete', 'schema', 'admin', 'audit'] as const;

/** One of ACTIONS. */
export type Action = (typeof ACTIONS)[number];

/** Which keys one scope grants. */
export type KeyPattern =
  | { readonly kind: 'all' }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'prefix'; readonly prefix: string };

/** One parsed scope. */
export interface Scope {
  /** As it was written. */
  readonly text: string;
  /** `all` is the administrator's. */
  readonly action: Action | 'all';
  /** A collection name; undefined: every collection. */
  readonly collection: string | undefined;
  readonly key: KeyPattern;
}

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
}

/** The longest scope that is taken, in characters. */
export const SCOPE_CHARS_MAX = 512;

const COLLECTION = /^[A-Za-z0-9_-]{1,64}$/;
const KEY = /^[A-Za-z0-9_.-]{1,256}$/;
const PREFIX = /^[A-Za-z0-9_.-]{1,255}\*$/;
const ADMINISTRATOR = '*:*:*';

/** Parses one scope. ARGUMENT_INVALID, naming the part at fault, when it is none. */
export function parseScope(text: string): Scope {
  if (text.length > SCOPE_CHARS_MAX) {
    throw invalid(text.slice(0, 32), `is longer than ${SCOPE_CHARS_MAX.toString()} characters`);
  }
  const parts = text.split(':');
  const [action = '', collection = '', key = ''] = parts;
  if (parts.length !== 3) throw invalid(text, 'must have three parts, `action:collection:key`');
  if (text === ADMINISTRATOR) {
    return { text, action: 'all', collection: undefined, key: { kind: 'all' } };
  }
  const known = ACTIONS.find((one) => one === action);
  if (known === undefined) {
    throw invalid(
      text,
      `has an unknown action; use ${ACTIONS.join(', ')}, or \`${ADMINISTRATOR}\``,
    );
  }
  if (collection !== '*' && !COLLECTION.test(collection)) {
    throw invalid(text, 'has an invalid collection; use a name (A-Z a-z 0-9 _ -, 1 to 64) or `*`');
  }
  return {
    ...{ text, action: known, key: parseKey(text, key) },
    collection: collection === '*' ? undefined : collection,
  };
}

function parseKey(text: string, key: string): KeyPattern {
  if (key === '*') return { kind: 'all' };
  if (KEY.test(key)) return { kind: 'key', key };
  if (PREFIX.test(key)) return { kind: 'prefix', prefix: key.slice(0, -1) };
  throw invalid(
    text,
    'has an invalid key; use a key (A-Z a-z 0-9 _ . -, 1 to 256), a prefix that ends in `*`, or `*`',
  );
}

function invalid(text: string, problem: string): DomainError {
  return new DomainError('ARGUMENT_INVALID', `scope '${text}' ${problem}`, {
    metadata: { scope: text },
    violations: [{ field: 'scopes', description: `scope '${text}' ${problem}` }],
  });
}

/** Parses scopes into a set. ARGUMENT_INVALID when one of them is none. */
export function createScopeSet(texts: readonly string[]): ScopeSet {
  return new UnionOfScopes(texts.map(parseScope));
}

class UnionOfScopes implements ScopeSet {
  readonly texts: readonly string[];
  readonly isAdmin: boolean;
  readonly #scopes: readonly Scope[];

  constructor(scopes: readonly Scope[]) {
    this.texts = scopes.map(({ text }) => text);
    this.isAdmin = scopes.some(({ action }) => action === 'all');
    this.#scopes = scopes;
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
    return this.#scopes.some(
      (scope) =>
        allows(scope, action) && scope.collection === undefined && scope.key.kind === 'all',
    );
  }

  collections(action: Action): 'all' | ReadonlySet<string> {
    const names = new Set<string>();
    for (const scope of this.#scopes) {
      if (!allows(scope, action)) continue;
      if (scope.collection === undefined) return 'all';
      names.add(scope.collection);
    }
    return names;
  }

  #granting(action: Action, collection: string): readonly Scope[] {
    return this.#scopes.filter(
      (scope) =>
        allows(scope, action) &&
        (scope.collection === undefined || scope.collection === collection),
    );
  }
}

function allows(scope: Scope, action: Action): boolean {
  return scope.action === 'all' || scope.action === action;
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
