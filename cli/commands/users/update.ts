import { Args, Flags, type Interfaces } from '@oclif/core';

import { UserState } from '../../../gen/molten/v1/users_pb.ts';
import { toUserRow } from '../../lib/access-rows.ts';
import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import type { AnyFlags } from '../../lib/secrets.ts';
import { listFrom, userFlags } from '../../lib/user-flags.ts';

const STATES: ReadonlyMap<string, UserState> = new Map([
  ['lock', UserState.LOCKED],
  ['disable', UserState.DISABLED],
  ['activate', UserState.ACTIVE],
]);

/** Changes a user. */
export default class UsersUpdate extends MoltenCommand {
  static override readonly summary = 'Change a user; what is not given stays.';
  static override readonly description =
    'Roles and scopes that are given take the place of those there are. A user that is not active is signed out everywhere, and all on its authority is refused, until it is active again.';
  static override readonly examples: string[] = [
    '<%= config.bin %> users update alice --role editor --role auditor',
    '<%= config.bin %> users update alice --lock',
  ];
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...userFlags,
    'no-roles': Flags.boolean({ description: 'No role from now on.', exclusive: ['role'] }),
    'no-scopes': Flags.boolean({ description: 'No scope besides.', exclusive: ['scope'] }),
    lock: Flags.boolean({
      description: 'It may not sign in or call, for now.',
      exclusive: ['disable', 'activate'],
    }),
    disable: Flags.boolean({ description: 'It may not any more.', exclusive: ['activate'] }),
    activate: Flags.boolean({ description: 'It may again.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersUpdate);
    const { users } = this.client(flags as unknown as ServerFlags);
    const change = changeOf(flags);
    if (Object.keys(change).length === 0) throw usageError('say what to change; see --help');
    const { user } = await users.updateUser({ user: String(args['user']), ...change });
    this.log(`${user?.name ?? ''} is changed`);
    return user && toUserRow(user);
  }
}

interface UserChange {
  readonly roles?: { values: string[] };
  readonly scopes?: { values: string[] };
  readonly displayName?: string;
  readonly email?: string;
  readonly state?: UserState;
}

function changeOf(flags: AnyFlags): UserChange {
  const roles = listFrom(flags['role'], flags['no-roles']);
  const scopes = listFrom(flags['scope'], flags['no-scopes']);
  const { email, 'display-name': displayName } = flags;
  const [, state] = [...STATES].find(([flag]) => flags[flag] === true) ?? [];
  return {
    ...(roles && { roles }),
    ...(scopes && { scopes }),
    ...(typeof displayName === 'string' && { displayName }),
    ...(typeof email === 'string' && { email }),
    ...(state !== undefined && { state }),
  };
}
