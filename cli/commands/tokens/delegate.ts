import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { durationOf, isoOf } from '../../lib/times.ts';

const CALLS_MAX = 1_000_000;

/** Makes a narrower token. */
export default class TokensDelegate extends MoltenCommand {
  static override readonly summary = 'Make a token with fewer rights for a client.';
  static override readonly examples: string[] = [
    '<%= config.bin %> tokens delegate reporting read:orders:* --ttl 3600',
    '<%= config.bin %> tokens delegate sensors write:readings:* --calls-per-minute 60',
    '<%= config.bin %> tokens delegate reporting read:orders:* --renewable-for 2592000',
  ];
  static override readonly strict = false;
  static override readonly args: Interfaces.ArgInput = {
    client: Args.string({ description: 'Whom it is for.', required: true }),
    scope: Args.string({ description: 'action:collection:key; more may follow.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ttl: Flags.integer({ description: 'Seconds that it lives.', default: 3600, min: 1 }),
    'renewable-for': Flags.integer({
      description: 'Seconds for which its holder can renew it. Otherwise it ends with --ttl.',
      min: 0,
    }),
    'calls-per-minute': Flags.integer({
      description: 'Calls per minute with it and all that it delegates. 0: no bound of its own.',
      ...{ default: 0, min: 0, max: CALLS_MAX },
    }),
  };

  async run(): Promise<unknown> {
    const { argv, flags } = await this.parse(TokensDelegate);
    const [clientId = '', ...scopes] = argv as string[];
    const { auth } = this.client(flags as unknown as ServerFlags);
    const [ttl, renewableFor] = [durationOf(flags['ttl']), durationOf(flags['renewable-for'])];
    const callsPerMinute = Number(flags['calls-per-minute']);
    const { token, principal } = await auth.delegateToken({
      ...{ clientId, scopes, callsPerMinute },
      ...{ ...(ttl && { ttl }), ...(renewableFor && { renewableFor }) },
    });
    const expires = isoOf(principal?.expireTime);
    this.log(token);
    const renewableUntil = isoOf(principal?.grantExpireTime);
    const renewable = renewableUntil === expires ? '' : `, renewable until ${renewableUntil ?? ''}`;
    const name = principal?.tokenId ?? '';
    this.logToStderr(`token ${name} for ${clientId}, until ${expires ?? ''}${renewable}`);
    return { token, tokenId: principal?.tokenId, clientId, scopes, expires, renewableUntil };
  }
}
