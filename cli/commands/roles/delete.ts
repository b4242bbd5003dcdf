import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Removes a role. */
export default class RolesDelete extends MoltenCommand {
  static override readonly summary = 'Remove a role that nobody has.';
  static override readonly args: Interfaces.ArgInput = {
    role: Args.string({ description: 'The name of the role.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(RolesDelete);
    const { users } = this.client(flags as unknown as ServerFlags);
    const role = String(args['role']);
    await users.deleteRole({ role });
    this.log(`${role} is removed`);
    return { role };
  }
}
