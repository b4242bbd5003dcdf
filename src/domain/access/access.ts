/**
 * Who may do what. A credential becomes a principal (authentication); its scopes say which keys of which
 * collections an action may touch (authorization). What an RPC demands is declared in its proto and
 * enforced by the protocol; which keys a request touches is enforced by the domain, every time.
 *
 * Three ideas. (1) Every credential stands on a user, and may do at most what that user may do now: a
 * role that changes, a user that is disabled, takes effect on the next call. (2) A delegated token names
 * what it was delegated with, so that one revocation ends a whole tree, and is one record. (3) What every
 * call asks (users, roles, API keys, revocations) is held in memory and written before it is seen.
 */
import type { Clock } from '../../platform/clock.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { openAccounts, type Accounts } from './accounts.ts';
import { openApiKeys, type ApiKeys } from './api-keys.ts';
import { createApiKeyControl, type ApiKeyControl } from './api-key-control.ts';
import { createAuthenticator, type Authenticator } from './credentials.ts';
import { createDelegation, type Delegation } from './delegation.ts';
import { createGrantQuota } from './grant-quota.ts';
import { createGrants } from './grants.ts';
import { createImpersonation, type Impersonation } from './impersonation.ts';
import { createIntrospection, type Introspection } from './introspection.ts';
import { createLinkedUsers, type LinkedUsers } from './linked-users.ts';
import { createLockouts } from './lockouts.ts';
import { createPasswordPolicy } from './password-policy.ts';
import { createPasswords, type PasswordCost, type Passwords } from './passwords.ts';
import { createProfiles, type Profiles } from './profiles.ts';
import { createRevocations, type Revocations } from './revocations.ts';
import { openRoles, type Roles } from './roles.ts';
import { ensureRootUser } from './root-user.ts';
import { openSealer } from './sealer.ts';
import { createSecondFactors, type SecondFactors } from './second-factor.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { openSetup, type Setup } from './setup.ts';
import { createSignIns, type Directory, type SignIns } from './sign-in.ts';
import { createSingleSignOn, type SignOnProvider, type SingleSignOn } from './single-sign-on.ts';
import { openSigningKeys, type SigningKeys, type TokenAlgorithm } from './signing-keys.ts';
import { createTokenControl, type TokenControl } from './token-control.ts';
import { boundTokens } from './token-size.ts';
import { createTokens, type Tokens } from './tokens.ts';
import { createUsers, type Users } from './users.ts';

/** The access room, open. */
export interface Access {
  readonly authenticator: Authenticator;
  readonly signIns: SignIns;
  readonly sessions: Sessions;
  readonly secondFactors: SecondFactors;
  readonly delegation: Delegation;
  readonly impersonation: Impersonation;
  readonly control: TokenControl;
  readonly tokens: Tokens;
  readonly signingKeys: SigningKeys;
  readonly accounts: Accounts;
  readonly users: Users;
  readonly profiles: Profiles;
  readonly roles: Roles;
  readonly apiKeys: ApiKeys;
  readonly apiKeyControl: ApiKeyControl;
  readonly introspection: Introspection;
  readonly setup: Setup;
  readonly singleSignOn: SingleSignOn;
  readonly linkedUsers: LinkedUsers;
  /** The name of the root user. */
  readonly rootUser: string;
  readonly revocations: Revocations;
  /** What is being hashed, and what waits for it. */
  readonly passwordLoad: Passwords['load'];
}

/** What access is made of. */
export interface AccessOptions {
  readonly engine: StorageEngine;
  readonly clock: Clock;
  readonly rules: AccessRules;
  readonly passwordCost?: PasswordCost;
  /** Asked about users without a password here. */
  readonly directories?: (linkedUsers: LinkedUsers) => readonly Directory[];
  readonly providers?: readonly SignOnProvider[];
  /** Secrets of the store that no secret of the configuration opens any more. */
  readonly onSealClosed: () => void;
}

/** What the configuration says of access. */
export interface AccessRules {
  /** At least 32 bytes; checked by the configuration. */
  readonly jwtSecret: string;
  readonly previousJwtSecrets: readonly string[];
  readonly rootUser: string;
  readonly rootPassword: string | undefined;
  readonly tokenAlgorithm: TokenAlgorithm;
  /** `iss` and `aud` of tokens. */
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
  readonly accessTokenTtlMs: number;
  readonly passwordCharsMin: number;
  /** Delegated tokens of one user that live at once. */
  readonly tokensPerUserMax: number;
  readonly setupToken: string | undefined;
}

/** Opens access on a store. */
export async function createAccess(options: AccessOptions): Promise<Access> {
  const { engine, clock, rules, onSealClosed, providers = [] } = options;
  const secrets = [rules.jwtSecret, ...rules.previousJwtSecrets];
  const sealer = await openSealer({ engine, secrets, onClosed: onSealClosed });
  const passwords = createPasswords(options.passwordCost);
  const roles = await openRoles(engine);
  const accounts = await openAccounts(engine, roles);
  const root = { name: rules.rootUser, password: rules.rootPassword };
  await ensureRootUser({ accounts, passwords, clock, root });

  const policy = createPasswordPolicy(rules.passwordCharsMin);
  const { rootUser, setupToken, tokensPerUserMax: liveMax } = rules;
  const setup = await openSetup({
    ...{ engine, clock, accounts, passwords, policy, rootUser, setupToken },
  });
  const revocations = await createRevocations(engine, clock);
  const signingKeys = await openSigningKeys({
    ...{ engine, clock, sealer, algorithm: rules.tokenAlgorithm, secret: rules.jwtSecret },
    previousSecrets: rules.previousJwtSecrets,
  });
  const { tokenIssuer: issuer, tokenAudience: audience } = rules;
  const issueTime = (): number => revocations.issueTime();
  const tokens = boundTokens(
    createTokens({ keys: signingKeys, clock, issuer, audience, issueTime }),
  );
  const apiKeys = await openApiKeys(engine, clock);
  const grants = createGrants(engine);
  const sessions = createSessions({ engine, clock, revocations });
  const lockouts = createLockouts(engine, clock);
  const secondFactors = createSecondFactors({ accounts, sealer, clock, issuer });
  const authenticator = createAuthenticator({
    ...{ clock, tokens, signingKeys, accounts, revocations, apiKeys, isCurrent: isInStep(engine) },
    catchUp: () => engine.catchUp(),
  });
  const linkedUsers = createLinkedUsers({ accounts, roles, clock });
  const signIns = createSignIns({
    ...{ engine, clock, accounts, passwords, lockouts, sessions, secondFactors, tokens },
    directories: options.directories?.(linkedUsers) ?? [],
    accessTokenTtlMs: rules.accessTokenTtlMs,
  });
  const control = createTokenControl({
    ...{ clock, accounts, grants, sessions, apiKeys, revocations, signingKeys },
  });
  return {
    ...{ setup, rootUser, control },
    apiKeyControl: createApiKeyControl({ clock, accounts, apiKeys, revocations }),
    introspection: createIntrospection({
      ...{ authenticator, sessions, control, apiKeys, revocations },
    }),
    ...{ authenticator, sessions, secondFactors, tokens, signingKeys, accounts, roles, apiKeys },
    ...{ revocations, passwordLoad: () => passwords.load() },
    signIns,
    linkedUsers,
    singleSignOn: createSingleSignOn({ engine, clock, sealer, providers, linkedUsers, signIns }),
    delegation: createDelegation({
      ...{ clock, tokens, grants, revocations, rootUser },
      quota: createGrantQuota({ clock, grants, revocations, liveMax }),
    }),
    impersonation: createImpersonation({ clock, accounts, tokens }),
    profiles: createProfiles({
      ...{ accounts, passwords, policy, lockouts, sessions, secondFactors },
    }),
    users: createUsers({
      ...{ clock, accounts, roles, passwords, lockouts, sessions, secondFactors, revocations },
      ...{ apiKeys, policy },
    }),
  };
}

/** What other nodes change is known here; a store that is not shared has no others. */
function isInStep(engine: StorageEngine): () => boolean {
  return () => !engine.capabilities.shared || engine.health().state !== 'readOnly';
}
