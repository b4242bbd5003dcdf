import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { userNotFound, type Accounts, type LinkedIdentity, type StoredUser } from './accounts.ts';
import type { Roles } from './roles.ts';
import { wrongPassword } from './sign-in.ts';

/** Whom a provider vouches for, and the roles that its groups give here. */
export interface VouchedIdentity extends LinkedIdentity {
  readonly username: string;
  readonly displayName: string;
  readonly email: string;
  readonly roles: readonly string[];
  /** Why it does not become a user when nobody is linked to it; undefined: it does. */
  readonly whyNotProvisioned: string | undefined;
}

/** A user and its name. */
export interface LinkedUser {
  readonly name: string;
  readonly user: StoredUser;
}

/** Users of identity providers. */
export interface LinkedUsers {
  /**
   * The user of an identity, made or brought up to date. CREDENTIAL_INVALID when nobody is linked to it and
   * none is made, which says why to the logs alone. A user that the provider made has the roles of its groups
   * as they are now; one that was linked by an administrator keeps its own.
   */
  resolve(identity: VouchedIdentity): Promise<LinkedUser>;
  /** Links an identity to a user. USER_EXISTS when it is linked to another one. */
  link(name: string, identity: LinkedIdentity): Promise<void>;
}

const NAME_CHARS = /[^A-Za-z0-9_.@+-]/g;
const NAME_CHARS_MAX = 128;
const TEXT_CHARS_MAX = 256;

/** Creates the users of identity providers. */
export function createLinkedUsers(parts: {
  readonly accounts: Accounts;
  readonly roles: Roles;
  readonly clock: Clock;
}): LinkedUsers {
  const { accounts, roles, clock } = parts;

  function findLinked(identity: LinkedIdentity): string | undefined {
    for (const [name, { identities }] of accounts.records.entries()) {
      if (identities.some((one) => isSame(one, identity))) return name;
    }
    return undefined;
  }

  async function provision(identity: VouchedIdentity): Promise<string> {
    const name = nameOf(identity);
    const { provider, issuer, subject, displayName, email } = identity;
    await accounts.records.change(name, (current) => {
      // A user of this name is somebody else until an administrator says otherwise.
      const isTaken = current !== undefined || accounts.nameLike(name) !== undefined;
      if (isTaken) throw nameTaken(name, provider);
      return {
        ...{ id: randomUUID(), roles: [], scopes: [], state: 'active' },
        ...{ displayName: cut(displayName), email: cut(email), createdAtMs: clock.now() },
        identities: [{ provider, issuer, subject }],
        isProvisioned: true,
      };
    });
    return name;
  }

  return {
    async resolve(identity) {
      return await accounts.inTurn(() => resolve(identity));
    },
    async link(name, identity) {
      await accounts.inTurn(() => link(name, identity));
    },
  };

  async function resolve(identity: VouchedIdentity): Promise<LinkedUser> {
    const known = findLinked(identity);
    const { whyNotProvisioned } = identity;
    if (known === undefined && whyNotProvisioned !== undefined) throw notAdmitted(identity);
    // One that is missing may be one that takes away.
    for (const role of identity.roles) roles.get(role);
    const name = known ?? (await provision(identity));
    const takeOver = (current: StoredUser | undefined): StoredUser | undefined => {
      if (current?.isProvisioned !== true) return current;
      const { roles, displayName, email } = identity;
      return { ...current, roles, displayName: cut(displayName), email: cut(email) };
    };
    const confirm = accounts.keepAdministrator(name);
    const user = await accounts.records.change(name, takeOver, { confirm });
    if (user === undefined) throw notAdmitted(identity);
    return { name, user };
  }

  async function link(name: string, { provider, issuer, subject }: LinkedIdentity): Promise<void> {
    const other = findLinked({ provider, issuer, subject });
    if (other !== undefined && other !== name) throw linkedElsewhere(other);
    await accounts.records.change(name, (current) => {
      if (current === undefined) throw userNotFound(name);
      if (other === name) return current;
      return { ...current, identities: [...current.identities, { provider, issuer, subject }] };
    });
  }
}

function isSame(a: LinkedIdentity, b: LinkedIdentity): boolean {
  return a.provider === b.provider && a.issuer === b.issuer && a.subject === b.subject;
}

/** The name at the provider, in the characters of ours. */
function nameOf({ username, provider }: VouchedIdentity): string {
  const name = username.replaceAll(NAME_CHARS, '_').slice(0, NAME_CHARS_MAX);
  return /^[A-Za-z0-9]/.test(name) ? name : `${provider}${name}`.slice(0, NAME_CHARS_MAX);
}

function cut(text: string): string {
  return text.slice(0, TEXT_CHARS_MAX);
}

/** Like a wrong password for who signs in. */
function notAdmitted({ provider, subject, whyNotProvisioned }: VouchedIdentity): DomainError {
  const why = whyNotProvisioned ?? 'its user was removed meanwhile';
  return wrongPassword(cut(`${why}: '${subject}' of '${provider}'`));
}

function nameTaken(name: string, provider: string): DomainError {
  return new DomainError(
    'USER_EXISTS',
    `'${name}' is a user that '${provider}' does not vouch for; an administrator can link the two`,
    { metadata: { user: name } },
  );
}

function linkedElsewhere(name: string): DomainError {
  return new DomainError('USER_EXISTS', `this identity is linked to '${name}'`, {
    metadata: { user: name },
  });
}
