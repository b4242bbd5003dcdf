import { Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';
import { readSecretFile } from '../lib/input.ts';
import { passwordFlags, readNewPassword } from '../lib/secrets.ts';

/** Completes the set-up of a server. */
export default class Setup extends MoltenCommand {
  static override readonly summary = 'Give the root user of a new server its first password.';
  static override readonly description =
    'Once in the life of a store, when the server was started without --root-password: on its machine, or with its --setup-token. Then sign in with molten login.';
  static override readonly examples: string[] = [
    '<%= config.bin %> setup',
    '<%= config.bin %> setup --url https://db.example.org --setup-token-file ./setup-token',
  ];
  static override readonly flags: Interfaces.FlagInput = {
    ...passwordFlags,
    'setup-token-file': Flags.string({
      description: 'A file with the --setup-token of the server, from another machine.',
    }),
    check: Flags.boolean({ description: 'Only tell whether the set-up is still to be done.' }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Setup);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const { open } = await auth.getSetup({});
    if (flags['check'] === true) {
      this.log(open ? 'the set-up is to be done' : 'the set-up is done');
      return { open };
    }
    const file = flags['setup-token-file'] as string | undefined;
    const setupToken = file === undefined ? '' : readSecretFile(file);
    // Whoever comes too late is told so before a password is asked for.
    const password = open ? await readNewPassword(flags) : '';
    const { user } = await auth.completeSetup({ password, setupToken });
    this.log(`the set-up is done; sign in with: molten login --username ${user}`);
    return { open: false, user };
  }
}
