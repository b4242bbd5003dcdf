import { Args, type Interfaces } from '@oclif/core';

import { toUserRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Shows a user. */
export default class UsersGet extends MoltenCommand {
  static override readonly summary = 'Show a user.';
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersGet);
    const { users } = this.client(flags as unknown as ServerFlags);
    const { user } = await users.getUser({ user: String(args['user']) });
    const row = user === undefined ? {} : toUserRow(user);
    this.printFields(row);
    return row;
  }
}
