import { toJson } from '@bufbuild/protobuf';
import { Args, type Interfaces } from '@oclif/core';

import { CollectionSchema } from '../../../gen/molten/v1/collections_pb.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Shows one collection. */
export default class CollectionsGet extends MoltenCommand {
  static override readonly summary = 'Show a collection: settings and sizes.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(CollectionsGet);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const request = { collection: String(args['collection']) };
    const { collection } = await collections.getCollection(request);
    const json = collection && toJson(CollectionSchema, collection, { alwaysEmitImplicit: true });
    this.log(JSON.stringify(json, undefined, 2));
    return json;
  }
}
