import { Flags, type Interfaces } from '@oclif/core';

import { toSigningKeyRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { durationOf } from '../../lib/times.ts';

const GRACE_MAX_S = 31_622_400;

/** Signs tokens with a new key. */
export default class KeysRotate extends MoltenCommand {
  static override readonly summary = 'Sign tokens with a new key from now on.';
  static override readonly description =
    'Needs the scope `keys:*:*`, and a server with --token-algorithm EdDSA or ES256. With HS256 change --jwt-secret and give the old one as --jwt-secret-previous. The key of the stored pages is another: molten encryption rotate.';
  static override readonly flags: Interfaces.FlagInput = {
    grace: Flags.integer({
      description: 'Seconds that tokens of the old key are still taken. Absent: 30 days.',
      ...{ min: 0, max: GRACE_MAX_S },
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(KeysRotate);
    const { tokens } = this.client(flags as unknown as ServerFlags);
    const grace = durationOf(flags['grace']);
    const { key } = await tokens.rotateSigningKey({ ...(grace && { grace }) });
    this.log(`${key?.keyId ?? ''} signs from now on`);
    return { key: key && toSigningKeyRow(key) };
  }
}
