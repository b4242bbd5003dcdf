import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Makes a narrower token. */
export default class TokensDelegate extends MoltenCommand {
  static override readonly summary = 'Make a token with fewer rights for a client.';
  static override readonly examples: string[] = [
    '<%= config.bin %> tokens delegate reporting read:orders:* --ttl 3600',
  ];
  static override readonly strict = false;
  static override readonly args: Interfaces.ArgInput = {
    client: Args.string({ description: 'Whom it is for.', required: true }),
    scope: Args.string({ description: 'action:collection:key; more may follow.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ttl: Flags.integer({ description: 'Seconds that it lives.', default: 3600, min: 1 }),
  };

  async run(): Promise<unknown> {
    const { argv, flags } = await this.parse(TokensDelegate);
    const [clientId = '', ...scopes] = argv as string[];
    const { auth } = this.client(flags as unknown as ServerFlags);
    const ttl = { seconds: BigInt(Number(flags['ttl'])) };
    const { token, principal } = await auth.delegateToken({ clientId, scopes, ttl });
    const expires = principal?.expireTime && timestampDate(principal.expireTime).toISOString();
    this.log(token);
    this.logToStderr(`token ${principal?.tokenId ?? ''} for ${clientId}, until ${expires ?? ''}`);
    return { token, tokenId: principal?.tokenId, clientId, scopes, expires };
  }
}
