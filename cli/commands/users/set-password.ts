import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { passwordFlags, readNewPassword } from '../../lib/secrets.ts';

/** Sets the password of a user. */
export default class UsersSetPassword extends MoltenCommand {
  static override readonly summary = 'Set the password of a user, who is signed out everywhere.';
  static override readonly description =
    'Your own is changed by molten password change. The new one is asked for, twice, unless a flag gives it.';
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = passwordFlags;

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersSetPassword);
    const { users } = this.client(flags as unknown as ServerFlags);
    const user = String(args['user']);
    await users.setPassword({ user, password: await readNewPassword(flags) });
    this.log(`${user} has another password`);
    return { user };
  }
}
