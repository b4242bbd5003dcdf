/** `/v1/auth/groups` and `/group-permissions`: a group is the role `group.<name>`. */
import { UserService, type Role } from '../../../../gen/molten/v1/users_pb.ts';
import { DomainError } from '../../../errors/domain-error.ts';
import type { Caller } from '../../caller.ts';
import type { FastifyRequest } from '../../http/door.ts';
import { payloadOf, RouteRefusal, textOf, type CompatRoute, type Payload } from '../routes.ts';
import { rowsOf, withRow } from './permissions.ts';
import { GROUP_PREFIX, isGroup, readUsers, rowIn, type Serially } from './users.ts';

const GROUPS = '/v1/auth/groups';
const GROUP = '/v1/auth/groups/:name';
const PERMISSIONS = '/v1/auth/group-permissions';

/** The routes of groups. */
export function groupRoutes(serially: Serially): readonly CompatRoute[] {
  const isFor = 'administrators';
  const change =
    (run: CompatRoute['run']): CompatRoute['run'] =>
    (request, caller) =>
      serially(() => run(request, caller));
  return [
    { methods: ['GET'], url: GROUPS, isFor, run: listGroups },
    { methods: ['POST'], url: GROUPS, isFor, status: 201, run: change(createGroup) },
    { methods: ['GET'], url: GROUP, isFor, run: getGroup },
    { methods: ['PUT'], url: GROUP, isFor, run: change(updateGroup) },
    { methods: ['DELETE'], url: GROUP, isFor, run: change(deleteGroup) },
    { methods: ['GET'], url: PERMISSIONS, isFor, run: listPermissions },
    { methods: ['POST'], url: PERMISSIONS, isFor, run: change(setPermission) },
  ];
}

async function listGroups(_request: FastifyRequest, caller: Caller): Promise<unknown> {
  const { roles } = await caller.call(UserService.method.listRoles, {});
  const members = await readMembers(caller);
  const groups = roles.filter(({ name }) => isGroup(name));
  return { groups: groups.map((role) => toGroup(role, members.get(role.name) ?? [])) };
}

async function createGroup(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const payload = payloadOf(request);
  const name = textOf(payload, 'name');
  if (name === '') throw new RouteRefusal('group name is required');
  const description = textOf(payload, 'description');
  const members = membersIn(payload) ?? [];
  await demandUsers(caller, members);
  const spec = { name: roleOf(name), description };
  const { role } = await caller.call(UserService.method.createRole, spec);
  await changeMembers(caller, spec.name, members);
  return toGroup(role ?? spec, members);
}

async function getGroup(request: FastifyRequest, caller: Caller): Promise<unknown> {
  return await showGroup(caller, nameIn(request));
}

async function updateGroup(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const name = nameIn(request);
  const payload = payloadOf(request);
  const members = membersIn(payload);
  const role = await findRole(caller, name);
  await demandUsers(caller, members ?? []);
  const isDescribed = payload['description'] !== undefined;
  if (isDescribed) {
    const description = textOf(payload, 'description');
    await caller.call(UserService.method.updateRole, { role: role.name, description });
  }
  if (members !== undefined) await changeMembers(caller, role.name, members);
  return await showGroup(caller, name);
}

async function deleteGroup(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const { name: role } = await findRole(caller, nameIn(request));
  await changeMembers(caller, role, []);
  await caller.call(UserService.method.deleteRole, { role });
  return { status: 'deleted' };
}

async function listPermissions(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const { group } = request.query as { readonly group?: unknown };
  if (typeof group !== 'string' || group === '') {
    throw new RouteRefusal('group parameter required');
  }
  const { scopes } = await findRole(caller, group);
  return { permissions: rowsOf(scopes).map((row) => ({ groupName: group, ...row })) };
}

async function setPermission(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const payload = payloadOf(request);
  const group = textOf(payload, 'groupName');
  if (group === '') throw new RouteRefusal('group name is required');
  const row = rowIn(payload);
  const { name: role, scopes } = await findRole(caller, group);
  const values = [...withRow(scopes, row, 'group')];
  await caller.call(UserService.method.updateRole, { role, scopes: { values } });
  return { status: 'permission set' };
}

async function showGroup(caller: Caller, name: string): Promise<unknown> {
  const role = await findRole(caller, name);
  return toGroup(role, (await readMembers(caller)).get(role.name) ?? []);
}

/** Roles do not know when they were made. */
function toGroup(
  { name, description }: Pick<Role, 'name' | 'description'>,
  members: readonly string[],
): unknown {
  return { name: name.slice(GROUP_PREFIX.length), description, members, createdAt: 0 };
}

function nameIn({ params }: FastifyRequest): string {
  return (params as { readonly name: string }).name;
}

function roleOf(group: string): string {
  return `${GROUP_PREFIX}${group}`;
}

async function findRole(caller: Caller, group: string): Promise<Role> {
  const { roles } = await caller.call(UserService.method.listRoles, {});
  const role = roles.find(({ name }) => name === roleOf(group));
  if (role === undefined) throw new DomainError('ROLE_NOT_FOUND', `there is no group '${group}'`);
  return role;
}

/** The names of members; undefined when the payload does not say. */
function membersIn({ members }: Payload): readonly string[] | undefined {
  if (members === undefined || members === null) return undefined;
  const isSound = Array.isArray(members) && members.every((one) => typeof one === 'string');
  if (!isSound) throw new RouteRefusal('invalid request: members must be a list of strings');
  return [...new Set<string>(members)].sort();
}

/** Members of every group, by role. */
async function readMembers(caller: Caller): Promise<ReadonlyMap<string, readonly string[]>> {
  const members = new Map<string, string[]>();
  for await (const { name, roles } of readUsers(caller)) {
    for (const role of roles.filter(isGroup)) {
      const known = members.get(role);
      if (known === undefined) members.set(role, [name]);
      else known.push(name);
    }
  }
  return members;
}

/** USER_NOT_FOUND, before anything is changed. */
async function demandUsers(caller: Caller, names: readonly string[]): Promise<void> {
  const unknown = new Set(names);
  if (unknown.size === 0) return;
  for await (const { name } of readUsers(caller)) unknown.delete(name);
  const [first] = unknown;
  if (first !== undefined) throw new DomainError('USER_NOT_FOUND', `there is no user '${first}'`);
}

async function changeMembers(
  caller: Caller,
  role: string,
  members: readonly string[],
): Promise<void> {
  const wanted = new Set(members);
  for await (const { name: user, roles } of readUsers(caller)) {
    const others = roles.filter((one) => one !== role);
    const isMember = wanted.has(user);
    if (isMember === roles.includes(role)) continue;
    const values = isMember ? [...others, role] : others;
    await caller.call(UserService.method.updateUser, { user, roles: { values } });
  }
}
