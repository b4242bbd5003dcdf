import type { IDToken } from 'openid-client';

import { unavailable } from './failures.ts';
import { GROUPS_MAX, type ExternalIdentity } from './model.ts';

/** Claims by name, of an id token or of the userinfo endpoint. */
export type Claims = Readonly<Record<string, unknown>>;

/** Which claims say what. */
export interface ClaimNames {
  readonly username: string;
  readonly groups: string;
}

const TEXT_CHARS_MAX = 256;

/** Reports whether the id token leaves open what the userinfo endpoint may know. */
export function isIncomplete(claims: Claims, names: ClaimNames): boolean {
  return find(claims, names.groups) === undefined || textOf(claims, names.username) === '';
}

/** Who the claims describe. The user name falls back to a verified address, then to the subject. */
export function identityOf(
  provider: string,
  { token, userInfo }: { readonly token: IDToken; readonly userInfo: Claims },
  names: ClaimNames,
): ExternalIdentity {
  // What is signed for this sign-in comes before what was asked for afterwards.
  const claims: Claims = { ...userInfo, ...token };
  const email = claims['email_verified'] === false ? '' : textOf(claims, 'email');
  // Of the address that is taken, said where it is said.
  const teller: Claims = Object.hasOwn(token, 'email') ? token : userInfo;
  return {
    provider,
    issuer: token.iss,
    subject: token.sub,
    username: textOf(claims, names.username) || email || token.sub,
    displayName: textOf(claims, 'name'),
    email,
    isEmailVerified: teller['email_verified'] === true,
    groups: groupsOf(provider, find(claims, names.groups)),
  };
}

function groupsOf(provider: string, value: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  const groups = values.filter((one) => typeof one === 'string');
  if (groups.length > GROUPS_MAX) {
    throw unavailable(provider, `lists more than ${GROUPS_MAX} groups; let it send fewer`);
  }
  return [...new Set(groups)];
}

function textOf(claims: Claims, name: string): string {
  const value = find(claims, name);
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX ? value : '';
}

/** A claim by its name, or by a path such as `realm_access.roles` when there is none of that name. */
function find(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) {
      return undefined;
    }
    value = (value as Claims)[step];
  }
  return value;
}
