import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Forgets failed logins of a user. */
export default class UsersUnlock extends MoltenCommand {
  static override readonly summary = 'Let a user sign in at once again after failed logins.';
  static override readonly description =
    'A user whom an administrator has locked is let in by molten users update --activate.';
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersUnlock);
    const { users } = this.client(flags as unknown as ServerFlags);
    const user = String(args['user']);
    await users.unlockUser({ user });
    this.log(`${user} need not wait`);
    return { user };
  }
}
