import type { Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { codeFlags, readCode } from '../../lib/secrets.ts';

/** Removes the caller's second factor. */
export default class SecondFactorRemove extends MoltenCommand {
  static override readonly summary = 'Remove your second factor, with a code of it.';
  static override readonly flags: Interfaces.FlagInput = codeFlags;

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SecondFactorRemove);
    const { auth } = this.client(flags as unknown as ServerFlags);
    await auth.removeSecondFactor({ code: await readCode(flags) });
    this.log('the second factor is removed');
    return { removed: true };
  }
}
