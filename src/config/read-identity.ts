import { resolve } from 'node:path';

import type { OptionReader } from './reader.ts';
import type {
  IdentityConfig,
  LdapConfig,
  OidcConfig,
  ProvisionRuleConfig,
  RoleMappingConfig,
} from './server-config.ts';

const DOMAIN = /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;

/** Who else vouches for users, from checked values. */
export function readIdentity(read: OptionReader): IdentityConfig {
  return { ldap: readLdap(read), oidc: readOidc(read) };
}

function readLdap(read: OptionReader): LdapConfig | undefined {
  const url = read.text('ldap-url');
  if (url === undefined) return undefined;
  const caPath = read.text('ldap-ca');
  const dn = read.text('ldap-bind-dn');
  const password = read.text('ldap-bind-password') ?? '';
  const subjectAttribute = read.text('ldap-subject-attribute');
  const groupBase = read.text('ldap-group-base');
  return {
    ...{ url, startTls: read.switch('ldap-starttls') },
    caPath: caPath === undefined ? undefined : resolve(caPath),
    ...(dn === undefined ? {} : { service: { dn, password } }),
    userBase: read.text('ldap-user-base') ?? '',
    userFilter: read.text('ldap-user-filter') ?? '',
    usernameAttribute: read.text('ldap-username-attribute') ?? '',
    ...(subjectAttribute === undefined ? {} : { subjectAttribute }),
    ...(groupBase === undefined ? {} : { groupBase }),
    groupFilter: read.text('ldap-group-filter') ?? '',
    mapping: readMapping(read, 'ldap'),
  };
}

function readOidc(read: OptionReader): OidcConfig | undefined {
  const issuer = read.text('oidc-issuer');
  if (issuer === undefined) return undefined;
  const clientSecret = read.text('oidc-client-secret');
  return {
    ...{ issuer, clientId: read.text('oidc-client-id') ?? '' },
    ...(clientSecret === undefined ? {} : { clientSecret }),
    redirectUris: read.list('oidc-redirect-uri'),
    scopes: read.list('oidc-scopes'),
    usernameClaim: read.text('oidc-username-claim') ?? '',
    groupsClaim: read.text('oidc-groups-claim') ?? '',
    allowInsecure: read.switch('oidc-allow-insecure'),
    mapping: readMapping(read, 'oidc'),
  };
}

function readMapping(read: OptionReader, provider: 'ldap' | 'oidc'): RoleMappingConfig {
  const groups: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const item of read.list(`${provider}-roles`)) {
    const at = item.lastIndexOf('=');
    (groups[item.slice(0, at)] ??= []).push(item.slice(at + 1));
  }
  const defaultRoles = read.list(`${provider}-default-roles`);
  const provisionOnly = read.list(`${provider}-provision-only`).flatMap((text) => {
    const rule = parseProvisionRule(text);
    return rule === undefined ? [] : [rule];
  });
  return { groups, defaultRoles, provision: read.switch(`${provider}-provision`), provisionOnly };
}

/** A rule as it is written; undefined when it is none. */
export function parseProvisionRule(text: string): ProvisionRuleConfig | undefined {
  if (text === 'mapped') return { kind: 'mapped' };
  const at = text.indexOf('=');
  const value = text.slice(at + 1);
  switch (text.slice(0, Math.max(at, 0))) {
    case 'group':
      return value === '' ? undefined : { kind: 'group', group: value };
    case 'email-domain':
      return DOMAIN.test(value) ? { kind: 'emailDomain', domain: value } : undefined;
    default:
      return undefined;
  }
}
