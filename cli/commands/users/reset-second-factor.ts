import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Takes the second factor from a user. */
export default class UsersResetSecondFactor extends MoltenCommand {
  static override readonly summary = 'Take the second factor from a user who has lost it.';
  static override readonly description = 'The user is signed out everywhere.';
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersResetSecondFactor);
    const { users } = this.client(flags as unknown as ServerFlags);
    const user = String(args['user']);
    await users.resetSecondFactor({ user });
    this.log(`${user} has no second factor`);
    return { user };
  }
}
