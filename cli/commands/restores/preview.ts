import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { pastFlags, pointOf } from '../../lib/past-point.ts';

/** Shows what a restore would change. */
export default class RestoresPreview extends MoltenCommand {
  static override readonly summary = 'Show how collections differ between now and then.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'Only this collection.' }),
  };
  static override readonly flags: Interfaces.FlagInput = pastFlags;

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(RestoresPreview);
    const client = this.client(flags as unknown as ServerFlags);
    const only = args['collection'] as string | undefined;
    const collections = only === undefined ? [] : [only];
    const found = await client.snapshots.previewRestore({ point: pointOf(flags), collections });
    const rows = found.differences.map((one) => ({
      collection: one.collection,
      ...{ removed: Number(one.removedCount), added: Number(one.addedCount) },
      ...{ changed: Number(one.changedCount), sampleKeys: one.sampleKeys },
    }));
    this.logToStderr(
      `between sequence ${String(found.sequence)} and ${String(found.currentSequence)}:`,
    );
    this.printRows(rows);
    return { sequence: String(found.sequence), differences: rows };
  }
}
