import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Ends bans. */
export default class BansClear extends MoltenCommand {
  static override readonly summary = 'End the ban of an address, or every ban, at once.';
  static override readonly description =
    'The next ban of the address is as short as a first one. Needs a token with the scope `system:*:*`.';
  static override readonly examples: string[] = [
    '<%= config.bin %> bans clear 198.51.100.7',
    '<%= config.bin %> bans clear --all',
  ];
  static override readonly args: Interfaces.ArgInput = {
    address: Args.string({ description: 'An address, or a ban as listed.', required: false }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    all: Flags.boolean({ description: 'Every ban.', default: false }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(BansClear);
    const { all, ...rest } = flags as unknown as ServerFlags & { all: boolean };
    const address = args['address'] as string | undefined;
    if (all === (address !== undefined)) this.error('give an address or --all', { exit: 2 });
    const { admin } = this.client(rest);
    const { addresses } = await admin.clearBans({
      ...{ all, addresses: address === undefined ? [] : [address] },
    });
    this.log(addresses.length === 0 ? 'nobody was banned' : `cleared ${addresses.join(', ')}`);
    return { addresses };
  }
}
