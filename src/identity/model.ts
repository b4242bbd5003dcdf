/**
 * Whom somebody else vouches for.
 *
 * This room asks a directory (`ldap.ts`) or an OpenID Connect issuer (`oidc.ts`) who signs in, and says
 * which roles the groups of that identity give (`role-mapping.ts`). It knows no users, no tokens and no
 * sessions of our own: those who call it keep the flows, link identities to users and issue tokens.
 *
 * A wrong password and a forged answer are the user's failure, CREDENTIAL_INVALID or undefined. A provider
 * that cannot be asked, or that does not know this server, is PROVIDER_UNAVAILABLE: nothing is known then.
 */

/** What a provider says of somebody who has just signed in. `issuer` and `subject` together are its name. */
export interface ExternalIdentity {
  /** The provider's name in the configuration. */
  readonly provider: string;
  /** Who vouches: the issuer of OpenID Connect, or the URL of the directory. */
  readonly issuer: string;
  /** Unique at the issuer, and never given to another. */
  readonly subject: string;
  /** For people and for logs; another identity may have the same. */
  readonly username: string;
  /** Empty when the provider says none. */
  readonly displayName: string;
  /** Empty when the provider says none, or says that nobody has verified it. */
  readonly email: string;
  /** The provider says that the address is the user's; false when it does not say. */
  readonly isEmailVerified: boolean;
  /** As the provider writes them: names, or the distinguished names of a directory. */
  readonly groups: readonly string[];
}

/** What kind of provider it is; decides how groups are compared. */
export type ProviderKind = 'ldap' | 'oidc';

/**
 * More groups than this are refused, not cut: which roles somebody has must not depend on the order of
 * a list.
 */
export const GROUPS_MAX = 1000;
