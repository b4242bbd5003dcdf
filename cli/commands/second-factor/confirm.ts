import type { Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { codeFlags, readCode } from '../../lib/secrets.ts';

/** Takes the first code of an offered second factor. */
export default class SecondFactorConfirm extends MoltenCommand {
  static override readonly summary = 'Confirm an enrolled second factor with a first code.';
  static override readonly description =
    'From then on it counts. Recovery codes go to standard output, one a line; they are shown once.';
  static override readonly flags: Interfaces.FlagInput = codeFlags;

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SecondFactorConfirm);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const code = await readCode(flags, 'First code of the device');
    const { recoveryCodes } = await auth.confirmSecondFactor({ code });
    this.logToStderr('the second factor counts from now on; keep these recovery codes:');
    for (const one of recoveryCodes) this.log(one);
    return { recoveryCodes };
  }
}
