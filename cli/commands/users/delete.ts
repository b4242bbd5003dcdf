import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Removes a user. */
export default class UsersDelete extends MoltenCommand {
  static override readonly summary = 'Remove a user for good, with all that it has delegated.';
  static override readonly description =
    'Its sessions, its API keys and all tokens on its authority end at once. To keep them from use for a while only, lock the user: molten users update --lock.';
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    yes: Flags.boolean({ char: 'y', description: 'Do not ask.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersDelete);
    const { users } = this.client(flags as unknown as ServerFlags);
    const user = String(args['user']);
    const message = `Remove the user ${user}, and end all that is on its authority?`;
    await this.demandConsent(message, flags['yes'] === true);
    await users.deleteUser({ user });
    this.log(`${user} is removed`);
    return { user };
  }
}
