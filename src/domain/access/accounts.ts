import { DomainError } from '../../errors/domain-error.ts';
import { createTurns } from '../../platform/turns.ts';
import type { DocumentReader, StorageEngine } from '../../storage/engine.ts';
import { openRecords, type Change, type Records } from './records.ts';
import type { Role, Roles } from './roles.ts';
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
  /** USER_NOT_FOUND. */
  get(name: string): StoredUser;
  /** The name of a user that is this one, or would be mistaken for it: they differ only in case. */
  nameLike(name: string): string | undefined;
  /** Has a second factor to enrol before anything else. */
  mustEnrol(user: StoredUser): boolean;
  /** What the roles and scopes of a user grant. */
  grantedTo(user: Holder): ScopeSet;
  /**
   * What the user of this name and id may do now; nothing when it is gone, not active, or has a second
   * factor to enrol.
   */
  scopesOf(name: string, id: string): ScopeSet;
  /** Runs changes of users and roles one after the other, so that what one checks holds when it writes. */
  inTurn<T>(change: () => Promise<T>): Promise<T>;
  /**
   * Confirms a change of this user: LAST_ADMINISTRATOR unless somebody can still do everything after it. As of
   * the commit, so that no two nodes each take away the other's.
   */
  keepAdministrator(
    name: string,
  ): (change: Change<StoredUser>, reader: DocumentReader) => Promise<void>;
  /** Confirms a change of this role: LAST_ADMINISTRATOR unless somebody without it can do everything. */
  keepAdministratorBut(role: string): (change: unknown, reader: DocumentReader) => Promise<void>;
  /** The user of this name is still the one of this id, and active. */
  isActive(name: string, id: string): boolean;
}

/** What somebody holds by itself. */
export type Holder = Pick<StoredUser, 'roles' | 'scopes'>;

/** What comes of it. */
interface Held {
  readonly scopes: ScopeSet;
  readonly needsSecondFactor: boolean;
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
  const computed = new WeakMap<Holder, Held & { readonly revision: number }>();

  /** Computed once per user and state of the roles: every call asks. */
  function heldBy(user: Holder): Held {
    const known = computed.get(user);
    if (known?.revision === roles.revision) return known;
    const held = { revision: roles.revision, ...holdingsOf(user, (name) => roles.find(name)) };
    computed.set(user, held);
    return held;
  }

  const grantedTo = (user: Holder): ScopeSet => heldBy(user).scopes;

  const mustEnrol = (user: StoredUser): boolean => lacksFactor(user, heldBy(user));

  const activeOf = (name: string, id: string): StoredUser | undefined => {
    const user = records.get(name);
    return user?.id === id && user.state === 'active' ? user : undefined;
  };

  const turns = createTurns(WAITING_MAX, tooMany);

  return {
    ...{ records, grantedTo, mustEnrol },
    ...guardAdministrators({ records, roles, heldBy }),
    inTurn: (change) => turns.run('', change),
    find: (name) => records.get(name),
    get(name) {
      const user = records.get(name);
      if (user === undefined) throw userNotFound(name);
      return user;
    },
    nameLike(name) {
      const folded = name.toLowerCase();
      for (const [other] of records.entries()) if (other.toLowerCase() === folded) return other;
      return undefined;
    },
    isActive: (name, id) => activeOf(name, id) !== undefined,
    scopesOf(name, id) {
      const user = activeOf(name, id);
      return user === undefined || mustEnrol(user) ? NO_SCOPES : grantedTo(user);
    },
  };
}

/** Keeps somebody who can do everything. */
function guardAdministrators({
  records,
  roles,
  heldBy,
}: {
  readonly records: Records<StoredUser>;
  readonly roles: Roles;
  /** As far as it is known in memory, which may be a moment older than what other nodes did. */
  readonly heldBy: (user: Holder) => Held;
}): Pick<Accounts, 'keepAdministrator' | 'keepAdministratorBut'> {
  async function isOne(user: StoredUser | undefined, reader: DocumentReader): Promise<boolean> {
    if (user === undefined) return false;
    const found = new Map<string, Role | undefined>();
    for (const role of user.roles) found.set(role, await roles.read(reader, role));
    return mayDoEverything(
      user,
      holdingsOf(user, (role) => found.get(role)),
    );
  }

  async function hasOne(
    counts: (name: string, user: StoredUser) => boolean,
    reader: DocumentReader,
  ): Promise<boolean> {
    for (const [name, known] of records.entries()) {
      if (!counts(name, known) || !mayDoEverything(known, heldBy(known))) continue;
      const user = await records.read(reader, name);
      if (user !== undefined && counts(name, user) && (await isOne(user, reader))) return true;
    }
    return false;
  }

  return {
    keepAdministrator:
      (name) =>
      async ({ current, next }, reader) => {
        if (!(await isOne(current, reader)) || (await isOne(next, reader))) return;
        if (!(await hasOne((other) => other !== name, reader))) throw lastAdministrator(name);
      },
    keepAdministratorBut: (role) => async (_, reader) => {
      const isWithout = (_name: string, user: StoredUser): boolean => !user.roles.includes(role);
      if (!(await hasOne(isWithout, reader))) throw lastAdministrator(role);
    },
  };
}

function lacksFactor({ secondFactor }: StoredUser, { needsSecondFactor }: Held): boolean {
  return secondFactor?.isConfirmed !== true && needsSecondFactor;
}

/** Can do everything, and sign in to do it. */
function mayDoEverything(user: StoredUser, held: Held): boolean {
  const { state, passwordHash, identities } = user;
  if (state !== 'active' || lacksFactor(user, held)) return false;
  return held.scopes.isUnbounded && (passwordHash !== undefined || identities.length > 0);
}

function holdingsOf({ roles: names, scopes }: Holder, find: Roles['find']): Held {
  const held = names.map(find);
  const texts = held.flatMap((role) => role?.scopes ?? []);
  // A role that is not there may have been one that takes away: then nothing is granted at all.
  const isWhole = held.every((role) => role !== undefined);
  return {
    scopes: isWhole ? createScopeSet([...texts, ...scopes]) : NO_SCOPES,
    needsSecondFactor: held.some((role) => role?.needsSecondFactor === true),
  };
}

/** USER_NOT_FOUND. */
export function userNotFound(name: string): DomainError {
  return new DomainError('USER_NOT_FOUND', `there is no user '${name}'`, {
    metadata: { user: name },
  });
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
