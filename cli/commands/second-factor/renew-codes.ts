import type { Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { codeFlags, readCode } from '../../lib/secrets.ts';

/** Gives other recovery codes. */
export default class SecondFactorRenewCodes extends MoltenCommand {
  static override readonly summary = 'Get other recovery codes; the old ones end.';
  static override readonly flags: Interfaces.FlagInput = codeFlags;

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SecondFactorRenewCodes);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const { recoveryCodes } = await auth.renewRecoveryCodes({ code: await readCode(flags) });
    this.logToStderr('the old recovery codes have ended; keep these:');
    for (const one of recoveryCodes) this.log(one);
    return { recoveryCodes };
  }
}
