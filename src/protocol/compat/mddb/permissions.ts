/**
 * Permission rows of MDDB as scopes, and back.
 *
 * | row of `c`  | scopes                        |
 * | ----------- | ----------------------------- |
 * | read        | `read:c:*`                    |
 * | write       | `write:c:*` and `delete:c:*`  |
 * | admin       | `admin:c:*`                   |
 * | admin of `*`| `*:*:*`, the administrator    |
 *
 * MDDB looks up the row of a collection before that of `*`. So the rows of a user add `only:c:*` for
 * each named collection, and one that grants nothing denies it; an administrator passes every row. The
 * rows of groups only ever add.
 */
import {
  ADMINISTRATOR,
  isStoreAction,
  parseScope,
  type Scope,
} from '../../../domain/access/scope.ts';
import { createScopeSet } from '../../../domain/access/scope-set.ts';

/** What one row grants. */
export interface PermissionRow {
  /** `*`: all collections. */
  readonly collection: string;
  readonly read: boolean;
  readonly write: boolean;
  readonly admin: boolean;
}

/** Whose rows they are. */
export type RowsOf = 'user' | 'group';

const ALL = '*';

/** The rows that scopes amount to, by collection. Scopes that no row can say are not among them. */
export function rowsOf(texts: readonly string[]): readonly PermissionRow[] {
  const collections = new Set(texts.map(parseScope).flatMap(collectionOf));
  return [...collections].sort().map((collection) => rowOf(new Set(texts), collection));
}

function rowOf(texts: ReadonlySet<string>, collection: string): PermissionRow {
  const has = (action: string): boolean => texts.has(`${action}:${collection}:*`);
  return {
    ...{ collection, read: has('read'), write: has('write') && has('delete') },
    admin: collection === ALL ? texts.has(ADMINISTRATOR) : has('admin'),
  };
}

/**
 * The scopes with one row in place of whatever they said of documents of its collection. ARGUMENT_INVALID
 * for a name that is none of a collection.
 */
export function withRow(
  texts: readonly string[],
  row: PermissionRow,
  rowsAreOf: RowsOf,
): readonly string[] {
  parseScope(`read:${row.collection}:*`);
  const kept = texts.filter((text) => !concerns(parseScope(text), row.collection));
  const scopes = [...kept, ...grantsOf(row)];
  if (rowsAreOf === 'group') return scopes;
  const grants = scopes.filter((text) => parseScope(text).kind !== 'exemption');
  if (createScopeSet(grants).isAdmin) return grants;
  // Whoever is no administrator any more is bound by its rows again.
  const bound = createScopeSet(texts).isAdmin
    ? grants
    : scopes.filter((text) => !grants.includes(text));
  const named = [...rowsOf(bound).map(({ collection }) => collection), row.collection];
  const exempt = [...new Set(named)].filter((collection) => collection !== ALL);
  return [...grants, ...exempt.map((collection) => `only:${collection}:*`)];
}

function grantsOf({ collection, read, write, admin }: PermissionRow): readonly string[] {
  return [
    ...(read ? [`read:${collection}:*`] : []),
    ...(write ? [`write:${collection}:*`, `delete:${collection}:*`] : []),
    ...(admin ? [collection === ALL ? ADMINISTRATOR : `admin:${collection}:*`] : []),
  ];
}

/** Whether a row of this collection would have to say what the scope says. */
function concerns(scope: Scope, collection: string): boolean {
  if (scope.kind === 'hiding') return false;
  if (scope.kind === 'grant' && scope.action !== 'all' && isStoreAction(scope.action)) return false;
  return (scope.collection ?? ALL) === collection;
}

/** The collection of a row that a scope is part of. */
function collectionOf(scope: Scope): readonly string[] {
  if (scope.kind === 'hiding') return [];
  if (scope.kind === 'exemption') return [scope.collection];
  const isOfRow =
    scope.key.kind === 'all' && ['read', 'write', 'delete', 'admin', 'all'].includes(scope.action);
  return isOfRow ? [scope.collection ?? ALL] : [];
}
