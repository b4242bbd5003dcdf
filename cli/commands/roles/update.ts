import { Args, Flags, type Interfaces } from '@oclif/core';

import { toRoleRow } from '../../lib/access-rows.ts';
import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import type { AnyFlags } from '../../lib/secrets.ts';
import { listFrom } from '../../lib/user-flags.ts';

/** Changes a role. */
export default class RolesUpdate extends MoltenCommand {
  static override readonly summary = 'Change a role, for all who have it; what is not given stays.';
  static override readonly args: Interfaces.ArgInput = {
    role: Args.string({ description: 'The name of the role.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    scope: Flags.string({
      description: 'A scope in the place of those there are. May be given several times.',
      multiple: true,
    }),
    'no-scopes': Flags.boolean({ description: 'No scope from now on.', exclusive: ['scope'] }),
    description: Flags.string({ description: 'What it is for.' }),
    'second-factor': Flags.boolean({
      description: 'Its users do nothing but enrol a second factor until they have one.',
      allowNo: true,
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(RolesUpdate);
    const { users } = this.client(flags as unknown as ServerFlags);
    const change = changeOf(flags);
    if (Object.keys(change).length === 0) throw usageError('say what to change; see --help');
    const { role } = await users.updateRole({ role: String(args['role']), ...change });
    this.log(`${role?.name ?? ''} is changed`);
    return role && toRoleRow(role);
  }
}

interface RoleChange {
  readonly scopes?: { values: string[] };
  readonly description?: string;
  readonly secondFactorRequired?: boolean;
}

function changeOf(flags: AnyFlags): RoleChange {
  const scopes = listFrom(flags['scope'], flags['no-scopes']);
  const { description, 'second-factor': secondFactorRequired } = flags;
  return {
    ...(scopes && { scopes }),
    ...(typeof description === 'string' && { description }),
    ...(typeof secondFactorRequired === 'boolean' && { secondFactorRequired }),
  };
}
