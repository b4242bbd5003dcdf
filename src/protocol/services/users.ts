import type { UserService } from '../../../gen/molten/v1/users_pb.ts';
import type { Access } from '../../domain/access/access.ts';
import { selfOf } from '../../domain/access/user-rules.ts';
import type { ServiceImplementation } from '../call.ts';
import { fromUserState, toRole, toUser } from '../mapping/access.ts';
import { firstPage, pageLimit } from '../mapping/page.ts';

type Service = ServiceImplementation<typeof UserService>;

/** The UserService over the domain. */
export function createUserService(access: Access): Service {
  return { ...createUserCalls(access), ...createProfileCalls(access), ...createRoleCalls(access) };
}

type RoleCall = 'createRole' | 'listRoles' | 'updateRole' | 'deleteRole';
type ProfileCall = 'getProfile' | 'updateProfile';

function createUserCalls({ users, linkedUsers }: Access): Omit<Service, RoleCall | ProfileCall> {
  return {
    async createUser({ name, password, roles, scopes, displayName, email }, { principal }) {
      const spec = { name, roles, scopes, displayName, email };
      const withPassword = { ...spec, password: password === '' ? undefined : password };
      return { user: toUser(await users.create(principal, withPassword)) };
    },
    async getUser({ user }) {
      return { user: toUser(await users.get(user)) };
    },
    async listUsers({ pageSize, pageToken }) {
      // One more than is shown, which tells whether there are more.
      const found = await users.list({ after: pageToken, limit: pageLimit(pageSize) + 1 });
      const { items, nextPageToken } = firstPage(found, pageSize, ({ name }) => name);
      return { users: items.map(toUser), nextPageToken };
    },
    async updateUser({ user, roles, scopes, displayName, email, state }, { principal }) {
      const changed = await users.update(principal, user, {
        ...{ roles: roles?.values, scopes: scopes?.values, displayName, email },
        state: fromUserState(state),
      });
      return { user: toUser(changed) };
    },
    async deleteUser({ user }, { principal }) {
      await users.delete(principal, user);
      return { user };
    },
    async setPassword({ user, password }, { principal }) {
      await users.setPassword(principal, user, password);
      return {};
    },
    async unlockUser({ user }, { principal }) {
      await users.unlock(principal, user);
      return {};
    },
    async linkIdentity({ user, identity }, { principal }) {
      const { provider = '', issuer = '', subject = '' } = identity ?? {};
      await users.demandOver(principal, user);
      await linkedUsers.link(user, { provider, issuer, subject });
      return { user: toUser(await users.get(user)) };
    },
    async resetSecondFactor({ user }, { principal }) {
      await users.resetSecondFactor(principal, user);
      return {};
    },
  };
}

function createProfileCalls({ users, profiles, accounts }: Access): Pick<Service, ProfileCall> {
  return {
    async getProfile(_request, { principal }) {
      return { user: toUser(await users.get(selfOf(accounts, principal.credential).name)) };
    },
    async updateProfile({ displayName, email }, { principal }) {
      await profiles.update(principal, { displayName, email });
      return { user: toUser(await users.get(selfOf(accounts, principal.credential).name)) };
    },
  };
}

function createRoleCalls({ users, roles }: Access): Pick<Service, RoleCall> {
  return {
    async createRole({ name, description, scopes, secondFactorRequired }, { principal }) {
      const spec = { name, description, scopes, needsSecondFactor: secondFactorRequired };
      return { role: toRole(await users.createRole(principal, spec)) };
    },
    async listRoles() {
      return { roles: roles.list().map(toRole) };
    },
    async updateRole({ role, description, scopes, secondFactorRequired }, { principal }) {
      const changed = await users.updateRole(principal, role, {
        ...(description === undefined ? {} : { description }),
        ...(scopes === undefined ? {} : { scopes: scopes.values }),
        ...(secondFactorRequired === undefined ? {} : { needsSecondFactor: secondFactorRequired }),
      });
      return { role: toRole(changed) };
    },
    async deleteRole({ role }, { principal }) {
      await users.deleteRole(principal, role);
      return { role };
    },
  };
}
