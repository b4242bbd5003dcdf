import { Args, Flags, type Interfaces } from '@oclif/core';

import { toRoleRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { textsOf } from '../../lib/user-flags.ts';

/** Makes a role. */
export default class RolesCreate extends MoltenCommand {
  static override readonly summary = 'Make a role: a named set of scopes.';
  static override readonly examples: string[] = [
    '<%= config.bin %> roles create clerk --scope read:orders:* --scope write:orders:* --scope hide:orders:card',
  ];
  static override readonly args: Interfaces.ArgInput = {
    role: Args.string({ description: 'The name.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    scope: Flags.string({
      description: 'A scope, action:collection:key. May be given several times.',
      ...{ multiple: true, required: true },
    }),
    description: Flags.string({ description: 'What it is for.', default: '' }),
    'second-factor': Flags.boolean({
      description: 'Its users do nothing but enrol a second factor until they have one.',
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(RolesCreate);
    const { users } = this.client(flags as unknown as ServerFlags);
    const { role } = await users.createRole({
      ...{ name: String(args['role']), scopes: textsOf(flags['scope']) },
      ...{ description: String(flags['description']) },
      secondFactorRequired: flags['second-factor'] === true,
    });
    this.log(`${role?.name ?? ''} is a role`);
    return role && toRoleRow(role);
  }
}
