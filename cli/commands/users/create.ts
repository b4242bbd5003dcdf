import { Args, Flags, type Interfaces } from '@oclif/core';

import { toUserRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { passwordFlags, readNewPassword } from '../../lib/secrets.ts';
import { textsOf, userFlags } from '../../lib/user-flags.ts';

/** Makes a user. */
export default class UsersCreate extends MoltenCommand {
  static override readonly summary = 'Make a user.';
  static override readonly description =
    'Needs the scope `users:*:*`, and all that the user shall be able to do. The password is asked for, twice, unless a flag gives it.';
  static override readonly examples: string[] = [
    '<%= config.bin %> users create alice --role editor --email alice@example.org',
    '<%= config.bin %> users create bob --role viewer --password-file ./password',
  ];
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name. It does not change.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...userFlags,
    ...passwordFlags,
    'no-password': Flags.boolean({
      description: 'Nobody signs in with a password here, but through an identity provider.',
      exclusive: ['password-file', 'password-stdin'],
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersCreate);
    const { users } = this.client(flags as unknown as ServerFlags);
    const { user } = await users.createUser({
      ...{ name: String(args['user']), roles: textsOf(flags['role']) },
      ...{ scopes: textsOf(flags['scope']), displayName: String(flags['display-name'] ?? '') },
      email: String(flags['email'] ?? ''),
      password: flags['no-password'] === true ? '' : await readNewPassword(flags),
    });
    this.log(`${user?.name ?? ''} is a user`);
    return user && toUserRow(user);
  }
}
