import { toJson } from '@bufbuild/protobuf';

import { SnapshotSchema } from '../../../gen/molten/v1/snapshots_pb.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { awaitOperation } from '../../lib/operations.ts';

/** Takes a snapshot. */
export default class SnapshotsCreate extends MoltenCommand {
  static override readonly summary = 'Take a snapshot of the whole store while it is written to.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SnapshotsCreate);
    const client = this.client(flags as unknown as ServerFlags);
    const { operation } = await client.snapshots.createSnapshot({});
    const { subject } = await awaitOperation(client, operation);
    const { snapshot } = await client.snapshots.getSnapshot({ snapshot: subject });
    this.log(subject);
    return snapshot && toJson(SnapshotSchema, snapshot, { alwaysEmitImplicit: true });
  }
}
