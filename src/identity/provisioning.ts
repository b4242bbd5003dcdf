import type { ExternalIdentity, ProviderKind } from './model.ts';
import { mapRoles, membershipOf, type ProvisionRule, type RoleMapping } from './role-mapping.ts';

/** Why an identity that nobody is linked to does not become a user; undefined: it does. */
export function whyNotProvisioned(
  identity: ExternalIdentity,
  mapping: RoleMapping,
  kind: ProviderKind,
): string | undefined {
  const { provision, provisionOnly = [] } = mapping;
  if (!provision) return 'nobody becomes a user by signing in';
  if (provisionOnly.length === 0) return undefined;
  const meets = (rule: ProvisionRule): boolean => isMet(rule, identity, { mapping, kind });
  if (provisionOnly.some(meets)) return undefined;
  return `it meets none of ${provisionOnly.map(textOf).join(', ')}`;
}

function isMet(
  rule: ProvisionRule,
  identity: ExternalIdentity,
  { mapping, kind }: { readonly mapping: RoleMapping; readonly kind: ProviderKind },
): boolean {
  switch (rule.kind) {
    case 'mapped':
      return mapRoles(identity, { ...mapping, defaultRoles: [] }, kind).length > 0;
    case 'group':
      return membershipOf(identity, kind)(rule.group);
    case 'emailDomain': {
      const { email, isEmailVerified } = identity;
      const domain = email.slice(email.lastIndexOf('@') + 1);
      return isEmailVerified && domain.toLowerCase() === rule.domain.toLowerCase();
    }
  }
}

function textOf(rule: ProvisionRule): string {
  if (rule.kind === 'mapped') return rule.kind;
  return rule.kind === 'group' ? `group=${rule.group}` : `email-domain=${rule.domain}`;
}
