import type { ServerFlags } from '../lib/molten-command.ts';
import { MoltenCommand } from '../lib/molten-command.ts';

/** Ends the session of a profile. */
export default class Logout extends MoltenCommand {
  static override readonly summary = 'End the session, here and at the server.';

  async run(): Promise<unknown> {
    const flags = (await this.parse(Logout)).flags as unknown as ServerFlags;
    try {
      await this.client(flags).auth.logout({});
    } finally {
      this.profiles().forgetToken(flags.profile);
    }
    this.log('signed out');
    return { profile: flags.profile };
  }
}
