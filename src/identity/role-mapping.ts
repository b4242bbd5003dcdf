import { commonNameOf, normalizeName, normalizeValue } from './distinguished-name.ts';
import type { ExternalIdentity, ProviderKind } from './model.ts';

/** One way to be let in at the first sign-in. */
export type ProvisionRule =
  /** Some group of the identity gives a role here; the default roles do not count. */
  | { readonly kind: 'mapped' }
  | { readonly kind: 'group'; readonly group: string }
  /** The provider has verified an address of exactly this domain. */
  | { readonly kind: 'emailDomain'; readonly domain: string };

/** Which roles an identity from elsewhere has here. */
export interface RoleMapping {
  /** Roles by group. How groups are compared depends on the kind of provider. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** The roles of everybody who signs in through the provider, besides those of groups. */
  readonly defaultRoles: readonly string[];
  /** Whoever signs in first becomes a user; otherwise only those who were linked before may. */
  readonly provision: boolean;
  /** Of those, only who meets one of these. Absent or empty: all. */
  readonly provisionOnly?: readonly ProvisionRule[];
}

/**
 * The roles of an identity, each once: the default ones, then those of its groups, in the order of the
 * mapping. Roles are never taken from what the provider says directly.
 *
 * OpenID Connect: groups are opaque names and compared exactly. LDAP: a key with `=` is a distinguished
 * name, compared without regard to case and to white space; any other key is a common name and matches the
 * `cn` that a group begins with, wherever in the tree it lies. Where users may create groups of their own,
 * write the distinguished name.
 */
export function mapRoles(
  identity: ExternalIdentity,
  mapping: RoleMapping,
  kind: ProviderKind,
): readonly string[] {
  const belongsTo = membershipOf(identity, kind);
  const granted = Object.entries(mapping.groups)
    .filter(([group]) => belongsTo(group))
    .flatMap(([, roles]) => roles);
  return [...new Set([...mapping.defaultRoles, ...granted])];
}

/** Tells whether an identity belongs to a group, as the mapping names it. */
export function membershipOf(
  { groups }: ExternalIdentity,
  kind: ProviderKind,
): (group: string) => boolean {
  return kind === 'ldap' ? directoryMembership(groups) : nameMembership(groups);
}

function nameMembership(groups: readonly string[]): (group: string) => boolean {
  const names = new Set(groups);
  return (group) => names.has(group);
}

function directoryMembership(groups: readonly string[]): (group: string) => boolean {
  const names = new Set(groups.map(normalizeName));
  const commonNames = new Set(groups.map(commonNameOf));
  return (group) => {
    if (!group.includes('=')) return group !== '' && commonNames.has(normalizeValue(group));
    const name = normalizeName(group);
    return name !== undefined && names.has(name);
  };
}
