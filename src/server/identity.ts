import { readFileSync } from 'node:fs';

import type { IdentityConfig } from '../config/server-config.ts';
import type { LinkedUsers, VouchedIdentity } from '../domain/access/linked-users.ts';
import type { Directory } from '../domain/access/sign-in.ts';
import type { SignOnProvider } from '../domain/access/single-sign-on.ts';
import { createLdapDirectory } from '../identity/ldap.ts';
import type { ExternalIdentity, ProviderKind } from '../identity/model.ts';
import type { OidcDeviceFlow } from '../identity/oidc-device.ts';
import { createOidcProvider, type OidcFlow } from '../identity/oidc.ts';
import { whyNotProvisioned as refusalOf } from '../identity/provisioning.ts';
import { mapRoles, type RoleMapping } from '../identity/role-mapping.ts';
import type { Clock } from '../platform/clock.ts';

/** The directory of the configuration, if there is one. */
export function openDirectories(
  { ldap }: IdentityConfig,
  linkedUsers: LinkedUsers,
): readonly Directory[] {
  if (ldap === undefined) return [];
  const { caPath, mapping, ...options } = ldap;
  const directory = createLdapDirectory({
    ...{ ...options, name: 'ldap' },
    ...(caPath === undefined ? {} : { caPem: readFileSync(caPath, 'utf8') }),
  });
  return [
    {
      async authenticate(username, password, signal) {
        const identity = await directory.authenticate(username, password, signal);
        if (identity === undefined) return undefined;
        return await linkedUsers.resolve(vouch(identity, mapping, 'ldap'));
      },
      pretend: (username, password, signal) => directory.pretend(username, password, signal),
    },
  ];
}

/** The OpenID Connect provider of the configuration, if there is one. */
export function openProviders({ oidc }: IdentityConfig, clock: Clock): readonly SignOnProvider[] {
  if (oidc === undefined) return [];
  const { redirectUris, mapping, ...options } = oidc;
  const provider = createOidcProvider({ ...options, name: 'oidc', clock });
  const vouched = (identity: ExternalIdentity): VouchedIdentity => vouch(identity, mapping, 'oidc');
  return [
    {
      ...{ name: 'oidc', redirectUris },
      async begin(redirectUri) {
        const { url, flow } = await provider.begin({ redirectUri });
        return { url, flow: JSON.stringify(flow) };
      },
      async finish(callbackUrl, text) {
        const flow = JSON.parse(text) as OidcFlow;
        return vouched(await provider.finish({ callbackUrl, flow }));
      },
      async beginDevice() {
        const flow = await provider.beginDevice();
        const { userCode, verificationUri, verificationUriComplete } = flow;
        const { intervalMs, expiresAtMs } = flow;
        const start = { userCode, verificationUri, verificationUriComplete };
        return { ...start, intervalMs, expiresAtMs, flow: JSON.stringify(flow) };
      },
      async pollDevice(text) {
        const identity = await provider.pollDevice(JSON.parse(text) as OidcDeviceFlow);
        return identity && vouched(identity);
      },
    },
  ];
}

function vouch(
  identity: ExternalIdentity,
  mapping: RoleMapping,
  kind: ProviderKind,
): VouchedIdentity {
  const { provider, issuer, subject, username, displayName, email } = identity;
  const roles = mapRoles(identity, mapping, kind);
  const whyNotProvisioned = refusalOf(identity, mapping, kind);
  return { provider, issuer, subject, username, displayName, email, roles, whyNotProvisioned };
}
