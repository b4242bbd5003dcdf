import { DomainError } from '../../errors/domain-error.ts';
import type { DocumentReader, StorageEngine } from '../../storage/engine.ts';
import { openRecords, type ChangeOptions, type Records } from './records.ts';
import { parseScope } from './scope.ts';

/** A named set of scopes. */
export interface Role {
  readonly name: string;
  readonly description: string;
  readonly scopes: readonly string[];
  /** Users with this role do nothing but enrol a second factor until they have one. */
  readonly needsSecondFactor: boolean;
  /** Made by the product; does not change. Absent: it is not. */
  readonly isBuiltIn?: true;
}

/** What a role is made with. */
export type RoleSpec = Omit<Role, 'isBuiltIn'>;

/** The roles of a store. */
export interface Roles {
  /** Goes up with every change. */
  readonly revision: number;
  find(name: string): Role | undefined;
  /** A role as it is stored, whatever is known in memory. */
  read(reader: DocumentReader, name: string): Promise<Role | undefined>;
  /** ROLE_NOT_FOUND. */
  get(name: string): Role;
  /** By name. */
  list(): readonly Role[];
  /** ROLE_EXISTS; ARGUMENT_INVALID for a malformed scope. */
  create(role: RoleSpec): Promise<Role>;
  /** ROLE_NOT_FOUND; ARGUMENT_INVALID for one that is built in. */
  update(
    name: string,
    change: Partial<RoleSpec>,
    confirm?: ChangeOptions<RoleSpec>['confirm'],
  ): Promise<Role>;
  delete(name: string): Promise<void>;
}

const ROLES_MAX = 1000;
/** Scopes of one role or user. */
export const SCOPES_MAX = 256;
/** Characters of them together: a token has to fit into a header. */
const SCOPES_CHARS_MAX = 8192;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

const BUILT_IN: ReadonlyMap<string, Role> = new Map(
  (
    [
      ['admin', 'Everything.', ['*:*:*']],
      ['editor', 'Reads and changes all documents.', ['read:*:*', 'write:*:*', 'delete:*:*']],
      ['viewer', 'Reads all documents.', ['read:*:*']],
      [
        'operator',
        'Runs the server: takes snapshots and restores them, settings of collections, the audit log. Reads no documents.',
        ['snapshot:*:*', 'system:*:*', 'schema:*:*', 'audit:*:*'],
      ],
    ] as const
  ).map(([name, description, scopes]) => [
    name,
    { name, description, scopes, needsSecondFactor: false, isBuiltIn: true },
  ]),
);

/** Opens the roles of a store. */
export async function openRoles(engine: StorageEngine): Promise<Roles> {
  const records = await openRecords<RoleSpec>({
    ...{ engine, collection: '$roles', recordsMax: ROLES_MAX },
  });
  const find = (name: string): Role | undefined => BUILT_IN.get(name) ?? records.get(name);
  const get = (name: string): Role => {
    const role = find(name);
    if (role === undefined) throw roleNotFound(name);
    return role;
  };
  return {
    ...{ find, get },
    read: async (reader, name) => BUILT_IN.get(name) ?? (await records.read(reader, name)),
    get revision() {
      return records.revision;
    },
    list: () => listAll(records),
    async create(role) {
      checkRole(role);
      if (BUILT_IN.has(role.name)) throw roleExists(role.name);
      await records.change(role.name, (current) => {
        if (current !== undefined) throw roleExists(role.name);
        return role;
      });
      return get(role.name);
    },
    async update(name, change, confirm) {
      checkOwn(get(name));
      const replace = (current: RoleSpec | undefined): RoleSpec => {
        if (current === undefined) throw roleNotFound(name);
        const role = { ...current, ...change, name };
        checkRole(role);
        return role;
      };
      await records.change(name, replace, confirm && { confirm });
      return get(name);
    },
    async delete(name) {
      checkOwn(get(name));
      await records.change(name, () => undefined);
    },
  };
}

function listAll(records: Records<RoleSpec>): readonly Role[] {
  const made = [...records.entries()].map(([, role]) => role);
  return [...BUILT_IN.values(), ...made].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function checkRole({ name, scopes, description }: RoleSpec): void {
  if (!NAME.test(name)) {
    throw new DomainError(
      'ARGUMENT_INVALID',
      `'${name.slice(0, 64)}' is no name of a role: use 1 to 64 of A-Z a-z 0-9 _ . -`,
    );
  }
  if (description.length > 1024) {
    throw new DomainError('ARGUMENT_INVALID', 'the description is longer than 1,024 characters');
  }
  checkScopeTexts(scopes);
}

/** ARGUMENT_INVALID for malformed scopes, and for too many. */
export function checkScopeTexts(scopes: readonly string[]): void {
  if (scopes.length > SCOPES_MAX) {
    const [count, limit] = [String(scopes.length), String(SCOPES_MAX)];
    throw new DomainError('ARGUMENT_INVALID', `${count} scopes are given; the limit is ${limit}`);
  }
  const chars = scopes.join('').length;
  if (chars > SCOPES_CHARS_MAX) {
    const [count, limit] = [String(chars), String(SCOPES_CHARS_MAX)];
    throw new DomainError(
      'ARGUMENT_INVALID',
      `the scopes have ${count} characters together; the limit is ${limit}`,
    );
  }
  for (const scope of scopes) parseScope(scope);
}

function checkOwn({ name, isBuiltIn }: Role): void {
  if (isBuiltIn !== true) return;
  throw new DomainError(
    'ARGUMENT_INVALID',
    `the role '${name}' is built in and does not change; make another one`,
  );
}

function roleExists(name: string): DomainError {
  return new DomainError('ROLE_EXISTS', `the role '${name}' exists already`, {
    metadata: { role: name },
  });
}

/** ROLE_NOT_FOUND. */
export function roleNotFound(name: string): DomainError {
  return new DomainError('ROLE_NOT_FOUND', `there is no role '${name}'`, {
    metadata: { role: name },
  });
}
