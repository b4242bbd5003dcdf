import { DomainError } from '../../errors/domain-error.ts';
import { createTurns } from '../../platform/turns.ts';
import type { StorageEngine } from '../../storage/engine.ts';
import { openRecords, type Records } from './records.ts';
import type { Roles } from './roles.ts';
import { createScopeSet, NO_SCOPES, type ScopeSet } from './scope-set.ts';

/** The collection of users: the key is the name. */
export const USERS = '$users';

/** A user as stored. */
export interface StoredUser {
  /** Never used again, so that another user of the same name is another user. */
  readonly id: string;
  /** Absent: signs in elsewhere only, or not at all. */
  readonly passwordHash?: string | undefined;
  /** The hash of the password in the configuration when it was last taken over. Root only. */
  readonly configuredHash?: string | undefined;
  readonly roles: readonly string[];
  /** Held besides those of the roles. */
  readonly scopes: readonly string[];
  readonly state: UserState;
  readonly displayName: string;
  readonly email: string;
  readonly createdAtMs: number;
  readonly lastLoginAtMs?: number | undefined;
  readonly secondFactor?: SecondFactor | undefined;
  /** Who vouches for the user elsewhere. */
  readonly identities: readonly LinkedIdentity[];
  /**
   * Goes up when whoever knew the password, or held the second factor, may not go on: what was begun
   * before is not finished after.
   */
  readonly epoch?: number | undefined;
  /** Made by an identity provider, whose groups say which roles it has. */
  readonly isProvisioned?: boolean | undefined;
}

/** `locked` by an administrator; `disabled` for good or until enabled. Neither signs in or calls. */
export type UserState = 'active' | 'locked' | 'disabled';

/** Codes of a device, besides the password. */
export interface SecondFactor {
  /** Sealed. */
  readonly secret: string;
  /** False until a first code has shown that the device works. */
  readonly isConfirmed: boolean;
  /** The last time step whose code was taken: none is taken twice. */
  readonly lastStep: number;
  /** Hashes of codes for when the device is lost. */
  readonly recoveryHashes: readonly string[];
}

/** A user of an identity provider. */
export interface LinkedIdentity {
  readonly provider: string;
  readonly issuer: string;
  readonly subject: string;
}

/** Users, and what they may do now. */
export interface Accounts {
  readonly records: Records<StoredUser>;
  find(name: string): StoredUser | undefined;
  /** Has a second factor to enrol before anything else. */
  mustEnrol(user: StoredUser): boolean;
  /** What the roles and scopes of a user grant. */
  grantedTo(user: Pick<StoredUser, 'roles' | 'scopes'>): ScopeSet;
  /**
   * What the user of this name and id may do now; nothing when it is gone, not active, or has a second
   * factor to enrol.
   */
  scopesOf(name: string, id: string): ScopeSet;
  /** Runs changes of users and roles one after the other, so that what one checks holds when it writes. */
  inTurn<T>(change: () => Promise<T>): Promise<T>;
  /** LAST_ADMINISTRATOR unless, with this user as it shall be, somebody can still do everything. */
  keepAdministrator(name: string, next: StoredUser | undefined): void;
  /** LAST_ADMINISTRATOR unless somebody can do everything who does not have this role. */
  keepAdministratorBut(role: string): void;
  /** The user of this name is still the one of this id, and active. */
  isActive(name: string, id: string): boolean;
}

/** Users are held in memory: about 1 kB each. */
export const USERS_MAX = 100_000;
/** Changes that may wait for their turn. */
const WAITING_MAX = 1000;

/** Opens the users of a store. */
export async function openAccounts(engine: StorageEngine, roles: Roles): Promise<Accounts> {
  const records = await openRecords<StoredUser>({
    ...{ engine, collection: USERS, recordsMax: USERS_MAX },
  });
  const computed = new WeakMap<
    Pick<StoredUser, 'roles' | 'scopes'>,
    { readonly revision: number; readonly scopes: ScopeSet }
  >();

  function grantedTo(user: Pick<StoredUser, 'roles' | 'scopes'>): ScopeSet {
    const known = computed.get(user);
    if (known?.revision === roles.revision) return known.scopes;
    const { revision } = roles;
    const held = user.roles.map((name) => roles.find(name));
    const texts = held.flatMap((role) => role?.scopes ?? []);
    // A role that is not there may have been one that takes away: then nothing is granted at all.
    const isWhole = held.every((role) => role !== undefined);
    const scopes = isWhole ? createScopeSet([...texts, ...user.scopes]) : NO_SCOPES;
    computed.set(user, { revision, scopes });
    return scopes;
  }

  const mustEnrol = (user: StoredUser): boolean =>
    user.secondFactor?.isConfirmed !== true &&
    user.roles.some((name) => roles.find(name)?.needsSecondFactor === true);

  const activeOf = (name: string, id: string): StoredUser | undefined => {
    const user = records.get(name);
    return user?.id === id && user.state === 'active' ? user : undefined;
  };

  const turns = createTurns(WAITING_MAX, tooMany);
  const isAdministrator = (user: StoredUser | undefined): boolean => {
    if (user?.state !== 'active' || mustEnrol(user)) return false;
    const { isAdmin, restrictions } = grantedTo(user);
    const signsIn = user.passwordHash !== undefined || user.identities.length > 0;
    return isAdmin && restrictions.length === 0 && signsIn;
  };

  return {
    ...{ records, grantedTo, mustEnrol },
    inTurn: (change) => turns.run('', change),
    keepAdministrator(name, next) {
      if (!isAdministrator(records.get(name)) || isAdministrator(next)) return;
      for (const [other, user] of records.entries()) {
        if (other !== name && isAdministrator(user)) return;
      }
      throw lastAdministrator(name);
    },
    keepAdministratorBut(role) {
      for (const [, user] of records.entries()) {
        if (isAdministrator(user) && !user.roles.includes(role)) return;
      }
      throw lastAdministrator(role);
    },
    find: (name) => records.get(name),
    isActive: (name, id) => activeOf(name, id) !== undefined,
    scopesOf(name, id) {
      const user = activeOf(name, id);
      return user === undefined || mustEnrol(user) ? NO_SCOPES : grantedTo(user);
    },
  };
}

function lastAdministrator(name: string): DomainError {
  return new DomainError(
    'LAST_ADMINISTRATOR',
    `nobody but '${name}' may do everything; make another administrator first`,
  );
}

function tooMany(): DomainError {
  return new DomainError('RATE_LIMITED', 'too many changes of users at once; try again', {
    retryAfterMs: 1000,
  });
}
