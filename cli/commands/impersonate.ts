import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';
import { durationOf, isoOf } from '../lib/times.ts';

const HOUR_S = 3600;

/** Makes a token to act as another user. */
export default class Impersonate extends MoltenCommand {
  static override readonly summary = 'Make a token to act as a user who may do less than you.';
  static override readonly description =
    'Needs the scope `impersonate:*:*`. The token alone goes to standard output; both names stand in the audit log.';
  static override readonly examples: string[] = [
    'MOLTEN_TOKEN=$(<%= config.bin %> impersonate alice) <%= config.bin %> docs query orders',
  ];
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ttl: Flags.integer({
      description: 'Seconds that the token lives. Absent: 15 minutes.',
      ...{ min: 1, max: HOUR_S },
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Impersonate);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const [user, ttl] = [String(args['user']), durationOf(flags['ttl'])];
    const { token, principal } = await auth.impersonate({ user, ...(ttl && { ttl }) });
    const expires = isoOf(principal?.expireTime);
    this.log(token);
    this.logToStderr(`acts as ${user} until ${expires ?? ''}`);
    return { token, user, impersonator: principal?.impersonator, expires };
  }
}
