import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { awaitOperation } from '../../lib/operations.ts';

/** Verifies a snapshot on the server. */
export default class SnapshotsVerify extends MoltenCommand {
  static override readonly summary = 'Read all of a snapshot on the server and compare its hashes.';
  static override readonly args: Interfaces.ArgInput = {
    snapshot: Args.string({ description: 'Its name.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(SnapshotsVerify);
    const client = this.client(flags as unknown as ServerFlags);
    const snapshot = String(args['snapshot']);
    const { operation } = await client.snapshots.verifySnapshot({ snapshot });
    await awaitOperation(client, operation);
    this.log(`${snapshot} is sound`);
    return { snapshot, sound: true };
  }
}
