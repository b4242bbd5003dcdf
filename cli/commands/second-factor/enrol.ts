import { Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { passwordFlags, readCode, readPassword } from '../../lib/secrets.ts';

/** Offers a second factor and takes its first code. */
export default class SecondFactorEnrol extends MoltenCommand {
  static override readonly summary = 'Give yourself a second factor: one-time codes of a device.';
  static override readonly description =
    'Shows the secret, and the address for a picture to scan, and asks for a first code; then shows recovery codes for when the device is lost. Each is shown once. Without a terminal and without a code, and with --json, it ends before the code: confirm the factor with molten second-factor confirm. Until then it does not count.';
  static override readonly flags: Interfaces.FlagInput = {
    ...passwordFlags,
    'code-stdin': Flags.boolean({
      description: 'The first code is the next line of standard input.',
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SecondFactorEnrol);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const { secret, uri } = await auth.enrolSecondFactor({ password: await readPassword(flags) });
    this.printFields({ secret, uri });
    const isAsked = flags['code-stdin'] === true || process.stdin.isTTY;
    // Nobody can know a code of a secret that is printed only at the end.
    if (this.jsonEnabled() || !isAsked) {
      this.logToStderr('it counts when a first code is confirmed: molten second-factor confirm');
      return { secret, uri };
    }
    const code = await readCode(flags, 'First code of the device');
    const { recoveryCodes } = await auth.confirmSecondFactor({ code });
    this.logToStderr('the second factor counts from now on; keep these recovery codes:');
    for (const one of recoveryCodes) this.log(one);
    return { secret, uri, recoveryCodes };
  }
}
