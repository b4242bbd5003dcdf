import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Drops an index. */
export default class IndexesDrop extends MoltenCommand {
  static override readonly summary = 'Drop an index. Queries go on without it.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
    index: Args.string({ description: 'The index.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(IndexesDrop);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const request = { collection: String(args['collection']), index: String(args['index']) };
    await collections.dropIndex(request);
    this.log(`index ${request.index} of ${request.collection} dropped`);
    return request;
  }
}
