import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Deletes a snapshot. */
export default class SnapshotsDelete extends MoltenCommand {
  static override readonly summary = 'Delete a snapshot.';
  static override readonly args: Interfaces.ArgInput = {
    snapshot: Args.string({ description: 'Its name.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    yes: Flags.boolean({ char: 'y', description: 'Do not ask.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(SnapshotsDelete);
    const client = this.client(flags as unknown as ServerFlags);
    const snapshot = String(args['snapshot']);
    await this.demandConsent(`Delete the snapshot ${snapshot}?`, flags['yes'] === true);
    await client.snapshots.deleteSnapshot({ snapshot });
    this.log(`${snapshot} is gone`);
    return { snapshot };
  }
}
