import { randomUUID } from 'node:crypto';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { userNotFound, type Accounts, type StoredUser, type UserState } from './accounts.ts';
import type { ApiKeys } from './api-keys.ts';
import type { Lockouts } from './lockouts.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import type { Principal } from './principal.ts';
import type { Revocations } from './revocations.ts';
import { checkScopeTexts, type Role, type Roles, type RoleSpec } from './roles.ts';
import { createScopeSet } from './scope-set.ts';
import type { SecondFactors } from './second-factor.ts';
import type { Sessions } from './sessions.ts';
import { storePassword } from './profiles.ts';
import {
  argument,
  checkName,
  checkTexts,
  demandOver,
  roleInUse,
  userExists,
  withoutUndefined,
} from './user-rules.ts';

/** A user as it is shown. */
export interface User extends Omit<
  StoredUser,
  'passwordHash' | 'configuredHash' | 'secondFactor' | 'epoch'
> {
  readonly name: string;
  readonly hasPassword: boolean;
  readonly hasSecondFactor: boolean;
  /** Must enrol one before anything else. */
  readonly mustEnrol: boolean;
  /** After too many failed logins, until then; undefined: may sign in. Unix milliseconds. */
  readonly waitsUntilMs: number | undefined;
}

/** What a user is made with. */
export interface UserSpec {
  readonly name: string;
  /** Undefined: signs in elsewhere only. */
  readonly password: string | undefined;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly displayName: string;
  readonly email: string;
}

/** What may be changed; undefined stays. */
export interface UserChange {
  readonly roles?: readonly string[] | undefined;
  readonly scopes?: readonly string[] | undefined;
  readonly displayName?: string | undefined;
  readonly email?: string | undefined;
  readonly state?: UserState | undefined;
}

/**
 * Administers users. Whoever does it cannot raise anybody above itself: what a user or role grants,
 * before and after, must be within what the caller may do (SCOPE_MISSING). One active administrator
 * always stays (LAST_ADMINISTRATOR).
 */
export interface Users {
  create(principal: Principal, spec: UserSpec): Promise<User>;
  /** USER_NOT_FOUND. */
  get(name: string): Promise<User>;
  /** SCOPE_MISSING unless all that the user may do is within what the caller may do. */
  demandOver(principal: Principal, name: string): Promise<void>;
  /** By name, after `after`. */
  list(page: { readonly after: string; readonly limit: number }): Promise<readonly User[]>;
  /** Takes effect on the next call; a user that is not active any more is signed out everywhere. */
  update(principal: Principal, name: string, change: UserChange): Promise<User>;
  delete(principal: Principal, name: string): Promise<void>;
  /** Signs the user out everywhere. PASSWORD_WEAK; ARGUMENT_INVALID for the caller's own. */
  setPassword(principal: Principal, name: string, password: string): Promise<void>;
  /** Forgets failed logins. */
  unlock(principal: Principal, name: string): Promise<void>;
  resetSecondFactor(principal: Principal, name: string): Promise<void>;
  createRole(principal: Principal, role: RoleSpec): Promise<Role>;
  updateRole(principal: Principal, name: string, change: Partial<RoleSpec>): Promise<Role>;
  /** ROLE_IN_USE while users have it. */
  deleteRole(principal: Principal, name: string): Promise<void>;
}

/** What users need. */
export interface UsersParts {
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly roles: Roles;
  readonly passwords: Passwords;
  readonly policy: PasswordPolicy;
  readonly lockouts: Lockouts;
  readonly sessions: Sessions;
  readonly secondFactors: SecondFactors;
  readonly revocations: Revocations;
  readonly apiKeys: ApiKeys;
}

const ROLES_MAX = 64;

/** Creates the administration of users. */
export function createUsers(parts: UsersParts): Users {
  return new StoredUsers(parts);
}

class StoredUsers implements Users {
  readonly #parts: UsersParts;

  constructor(parts: UsersParts) {
    this.#parts = parts;
  }

  async create(principal: Principal, spec: UserSpec): Promise<User> {
    const { accounts, policy, passwords, clock } = this.#parts;
    const { name, password, ...rest } = spec;
    const check = (): void => {
      this.#checkGrants(spec);
      demandOver(principal, accounts.grantedTo({ roles: spec.roles, scopes: spec.scopes }));
      const taken = accounts.nameLike(name);
      if (taken !== undefined) throw userExists(taken);
    };
    checkName(name);
    checkTexts(spec);
    check();
    if (password !== undefined) policy.check(password, [name, spec.email, spec.displayName]);
    const passwordHash = password === undefined ? undefined : await passwords.hash(password);
    await accounts.inTurn(async () => {
      // Again: roles and names may have changed while the password was hashed.
      check();
      await accounts.records.change(name, (current) => {
        if (current !== undefined) throw userExists(name);
        return {
          ...{ id: randomUUID(), ...rest, passwordHash, state: 'active', identities: [] },
          createdAtMs: clock.now(),
        };
      });
    });
    return await this.get(name);
  }

  async get(name: string): Promise<User> {
    return await this.#show(name, this.#parts.accounts.get(name));
  }

  async demandOver(principal: Principal, name: string): Promise<void> {
    const { accounts } = this.#parts;
    demandOver(principal, accounts.grantedTo(accounts.get(name)));
  }

  async list({
    after,
    limit,
  }: {
    readonly after: string;
    readonly limit: number;
  }): Promise<readonly User[]> {
    const page = [...this.#parts.accounts.records.entries()]
      .filter(([name]) => name > after)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, limit);
    return await Promise.all(page.map(([name, user]) => this.#show(name, user)));
  }

  async update(principal: Principal, name: string, change: UserChange): Promise<User> {
    const { accounts, sessions } = this.#parts;
    checkTexts(change);
    const user = await accounts.inTurn(async () => {
      this.#checkGrants({ roles: change.roles ?? [], scopes: change.scopes ?? [] });
      const replace = (current: StoredUser | undefined): StoredUser => {
        if (current === undefined) throw userNotFound(name);
        demandOver(principal, accounts.grantedTo(current));
        const next = { ...current, ...withoutUndefined(change) };
        demandOver(principal, accounts.grantedTo(next));
        return next.state === 'active' ? next : { ...next, epoch: (current.epoch ?? 0) + 1 };
      };
      const confirm = accounts.keepAdministrator(name);
      return await accounts.records.change(name, replace, { confirm });
    });
    if (user === undefined) throw userNotFound(name);
    if (user.state !== 'active') await sessions.endAll(user.id);
    return await this.#show(name, user);
  }

  async delete(principal: Principal, name: string): Promise<void> {
    const { accounts, sessions, apiKeys, lockouts } = this.#parts;
    const user = accounts.get(name);
    const remove = (current: StoredUser | undefined): undefined => {
      if (current === undefined) throw userNotFound(name);
      demandOver(principal, accounts.grantedTo(current));
    };
    const confirm = accounts.keepAdministrator(name);
    await accounts.inTurn(() => accounts.records.change(name, remove, { confirm }));
    // Whatever stands on the id is dead from here on; what follows is tidying.
    await sessions.endAll(user.id);
    await apiKeys.deleteOf(user.id);
    await lockouts.unlock(name);
  }

  async setPassword(principal: Principal, name: string, password: string): Promise<void> {
    const { accounts, sessions } = this.#parts;
    const user = accounts.get(name);
    if (principal.credential?.chain.userId === user.id) throw isOwn();
    demandOver(principal, accounts.grantedTo(user));
    await storePassword(this.#parts, { name, user, password });
    await sessions.endAll(user.id);
  }

  async unlock(principal: Principal, name: string): Promise<void> {
    await this.demandOver(principal, name);
    await this.#parts.lockouts.unlock(name);
  }

  async resetSecondFactor(principal: Principal, name: string): Promise<void> {
    const { accounts, sessions, secondFactors } = this.#parts;
    const user = accounts.get(name);
    demandOver(principal, accounts.grantedTo(user));
    await secondFactors.remove(name);
    await sessions.endAll(user.id);
  }

  async createRole(principal: Principal, role: RoleSpec): Promise<Role> {
    checkScopeTexts(role.scopes);
    demandOver(principal, createScopeSet(role.scopes));
    return await this.#parts.accounts.inTurn(() => this.#parts.roles.create(role));
  }

  async updateRole(principal: Principal, name: string, change: Partial<RoleSpec>): Promise<Role> {
    const { roles, accounts } = this.#parts;
    if (change.scopes !== undefined) checkScopeTexts(change.scopes);
    return await accounts.inTurn(async () => {
      const role = roles.get(name);
      demandOver(principal, createScopeSet(role.scopes));
      if (change.scopes !== undefined) demandOver(principal, createScopeSet(change.scopes));
      // A role also takes away: whoever changes it must be above all who have it.
      for (const user of this.#holdersOf(name)) demandOver(principal, accounts.grantedTo(user));
      const kept = withoutUndefined(change);
      const confirm = isHarmless(role, { ...role, ...kept })
        ? undefined
        : accounts.keepAdministratorBut(name);
      return await roles.update(name, kept, confirm);
    });
  }

  async deleteRole(principal: Principal, name: string): Promise<void> {
    const { roles, accounts } = this.#parts;
    await accounts.inTurn(async () => {
      demandOver(principal, createScopeSet(roles.get(name).scopes));
      const holders = [...accounts.records.entries()].filter(([, { roles: held }]) =>
        held.includes(name),
      );
      const [first] = holders;
      if (first !== undefined) throw roleInUse(name, first[0], holders.length);
      await roles.delete(name);
    });
  }

  #holdersOf(role: string): readonly StoredUser[] {
    const all = [...this.#parts.accounts.records.entries()].map(([, user]) => user);
    return all.filter(({ roles }) => roles.includes(role));
  }

  async #show(name: string, user: StoredUser): Promise<User> {
    const { passwordHash, configuredHash: _, secondFactor, epoch: __, ...rest } = user;
    const waitsUntilMs = await this.#parts.lockouts.waitsUntil(name);
    return {
      ...{ name, ...rest, hasPassword: passwordHash !== undefined },
      hasSecondFactor: secondFactor?.isConfirmed === true,
      mustEnrol: this.#parts.accounts.mustEnrol(user),
      waitsUntilMs: waitsUntilMs > this.#parts.clock.now() ? waitsUntilMs : undefined,
    };
  }

  #checkGrants({ roles, scopes }: Pick<StoredUser, 'roles' | 'scopes'>): void {
    if (roles.length > ROLES_MAX) {
      throw argument(`${String(roles.length)} roles are given; the limit is ${String(ROLES_MAX)}`);
    }
    for (const role of roles) this.#parts.roles.get(role);
    checkScopeTexts(scopes);
  }
}

/** A role that changes so takes the rights of an administrator from nobody. */
function isHarmless(before: RoleSpec, after: RoleSpec): boolean {
  const isAdmin = ({ scopes }: RoleSpec): boolean => createScopeSet(scopes).isAdmin;
  const takesAway = createScopeSet(after.scopes).restrictions.length > 0;
  const demandsMore = after.needsSecondFactor && !before.needsSecondFactor;
  return (!isAdmin(before) || isAdmin(after)) && !takesAway && !demandsMore;
}

/** A session alone must not be enough to take an account over. */
function isOwn(): DomainError {
  return new DomainError(
    'ARGUMENT_INVALID',
    'this is your own password; it is changed with the one before it: ChangePassword, molten password change',
  );
}
