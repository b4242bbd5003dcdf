import type { KeyAccess } from '../../storage/types.ts';
import { missingScope, type Principal } from '../access/principal.ts';
import type { Action } from '../access/scope.ts';

/** SCOPE_MISSING, naming the first key that is not covered, before anything is looked up. */
export function permitKeys(
  principal: Principal,
  action: Action,
  { collection, keys }: { readonly collection: string; readonly keys: readonly string[] },
): void {
  const { scopes } = principal;
  if (scopes.coversCollection(action, collection)) return;
  for (const key of keys) {
    if (!scopes.covers(action, collection, key))
      throw missingScope(principal, { action, collection, key });
  }
}

/** The keys that an action may touch. SCOPE_MISSING when there is none at all. */
export function permittedKeys(principal: Principal, action: Action, collection: string): KeyAccess {
  const access = principal.scopes.keyAccess(action, collection);
  const isNothing =
    access.kind === 'some' && access.keys.length === 0 && access.prefixes.length === 0;
  if (isNothing) throw missingScope(principal, { action, collection, key: '*' });
  return access;
}

/** SCOPE_MISSING unless an action may touch all the keys that another one may. */
export function permitAsFarAs(
  principal: Principal,
  action: Action,
  { collection, access }: { readonly collection: string; readonly access: KeyAccess },
): void {
  const { scopes } = principal;
  if (scopes.coversCollection(action, collection)) return;
  const granted = scopes.keyAccess(action, collection);
  const prefixes = granted.kind === 'some' ? granted.prefixes : [];
  const isCovered =
    access.kind === 'some' &&
    access.keys.every((key) => scopes.covers(action, collection, key)) &&
    access.prefixes.every((prefix) => prefixes.some((wider) => prefix.startsWith(wider)));
  if (!isCovered) throw missingScope(principal, { action, collection, key: '*' });
}
