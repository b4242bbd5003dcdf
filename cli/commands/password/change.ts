import { Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { passwordFlags, readNewPassword, readPassword } from '../../lib/secrets.ts';

/** Changes the caller's own password. */
export default class PasswordChange extends MoltenCommand {
  static override readonly summary = 'Change your own password, and end your other sessions.';
  static override readonly examples: string[] = [
    '<%= config.bin %> password change',
    `printf '%s\\n' "$OLD" "$NEW" | <%= config.bin %> password change --password-stdin --new-password-stdin`,
  ];
  static override readonly flags: Interfaces.FlagInput = {
    ...passwordFlags,
    'new-password-file': Flags.string({
      description: 'A file with the new password. Otherwise it is asked for, twice.',
      exclusive: ['new-password-stdin'],
    }),
    'new-password-stdin': Flags.boolean({
      description: 'The new password is the next line of standard input.',
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(PasswordChange);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const oldPassword = await readPassword(flags);
    const newPassword = await readNewPassword(flags, 'new-password');
    await auth.changePassword({ oldPassword, newPassword });
    this.log('the password is changed; your other sessions have ended');
    return { changed: true };
  }
}
