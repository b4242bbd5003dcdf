/** `/v1/auth/register`, `/users` and `/permissions`: users and their rows. */
import {
  UserService,
  UserState,
  type Role,
  type User,
} from '../../../../gen/molten/v1/users_pb.ts';
import { createScopeSet } from '../../../domain/access/scope-set.ts';
import type { Caller } from '../../caller.ts';
import type { FastifyRequest } from '../../http/door.ts';
import { payloadOf, RouteRefusal, textOf, type CompatRoute, type Payload } from '../routes.ts';
import { rowsOf, withRow, type PermissionRow } from './permissions.ts';

/** What a role is called that is a group here. */
export const GROUP_PREFIX = 'group.';

const PAGE_SIZE = 1000;

/** Runs changes one after the other: each reads what it changes. */
export type Serially = <T>(change: () => Promise<T>) => Promise<T>;

/** The routes of users. */
export function userRoutes(serially: Serially): readonly CompatRoute[] {
  const isFor = 'administrators';
  return [
    { methods: ['POST'], url: '/v1/auth/register', isFor, run: register },
    { methods: ['GET'], url: '/v1/auth/users', isFor, run: (_, caller) => listUsers(caller) },
    { methods: ['DELETE'], url: '/v1/auth/users/:username', isFor, run: disableUser },
    { methods: ['GET'], url: '/v1/auth/permissions', isFor, run: listPermissions },
    {
      ...{ methods: ['POST'], url: '/v1/auth/permissions', isFor },
      run: (request, caller) => setPermission(request, caller, serially),
    },
  ];
}

async function register(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const payload = payloadOf(request);
  const [name, password] = [textOf(payload, 'username'), textOf(payload, 'password')];
  if (name === '') throw new RouteRefusal('username required');
  // Without a password the user could only sign in elsewhere.
  if (password === '') throw new RouteRefusal('password required');
  if (textOf(payload, 'tenant') !== '') throw new RouteRefusal('tenants are not supported');
  const { user } = await caller.call(UserService.method.createUser, { name, password });
  return { username: name, createdAt: secondsOf(user?.createTime) };
}

async function listUsers(caller: Caller): Promise<unknown> {
  const { roles } = await caller.call(UserService.method.listRoles, {});
  const users: unknown[] = [];
  for await (const user of readUsers(caller)) users.push(toMddbUser(user, roles));
  return { users };
}

function toMddbUser(user: User, roles: readonly Role[]): unknown {
  const granted = roles.filter(({ name }) => user.roles.includes(name));
  const scopes = [...granted.flatMap((role) => role.scopes), ...user.scopes];
  return {
    ...{ username: user.name, createdAt: secondsOf(user.createTime) },
    ...{ disabled: user.state !== UserState.ACTIVE, admin: createScopeSet(scopes).isAdmin },
    groups: user.roles.filter(isGroup).map((role) => role.slice(GROUP_PREFIX.length)),
  };
}

/** Every user, by name. */
export async function* readUsers(caller: Caller): AsyncIterable<User> {
  let pageToken = '';
  do {
    const page = { pageSize: PAGE_SIZE, pageToken };
    const found = await caller.call(UserService.method.listUsers, page);
    yield* found.users;
    pageToken = found.nextPageToken;
  } while (pageToken !== '');
}

/** Reports whether a role is a group here. */
export function isGroup(role: string): boolean {
  return role.startsWith(GROUP_PREFIX);
}

async function disableUser(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const { username: user } = request.params as { readonly username: string };
  await caller.call(UserService.method.updateUser, { user, state: UserState.DISABLED });
  return { status: 'deleted' };
}

async function listPermissions(request: FastifyRequest, caller: Caller): Promise<unknown> {
  const { username } = request.query as { readonly username?: unknown };
  if (typeof username !== 'string' || username === '') {
    throw new RouteRefusal('username parameter required');
  }
  const { user } = await caller.call(UserService.method.getUser, { user: username });
  return rowsOf(user?.scopes ?? []).map((row) => ({ username, ...row }));
}

async function setPermission(
  request: FastifyRequest,
  caller: Caller,
  serially: Serially,
): Promise<unknown> {
  const payload = payloadOf(request);
  const name = textOf(payload, 'username');
  if (name === '') throw new RouteRefusal('username required');
  const row = rowIn(payload);
  await serially(async () => {
    const { user } = await caller.call(UserService.method.getUser, { user: name });
    const values = [...withRow(user?.scopes ?? [], row, 'user')];
    await caller.call(UserService.method.updateUser, { user: name, scopes: { values } });
  });
  return { status: 'ok' };
}

/** The row of a payload; what is absent is not granted. */
export function rowIn(payload: Payload): PermissionRow {
  const collection = textOf(payload, 'collection');
  if (collection === '') throw new RouteRefusal('collection required');
  const [read, write, admin] = ['read', 'write', 'admin'].map((name) => {
    const value = payload[name] ?? false;
    if (typeof value === 'boolean') return value;
    throw new RouteRefusal(`invalid request: ${name} must be true or false`);
  });
  return { collection, read: read === true, write: write === true, admin: admin === true };
}

/** A moment in Unix seconds; 0 when there is none. */
export function secondsOf(time: { readonly seconds: bigint } | undefined): number {
  return Number(time?.seconds ?? 0n);
}
