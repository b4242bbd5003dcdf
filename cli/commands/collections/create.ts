import { toJson } from '@bufbuild/protobuf';
import { Args, type Interfaces } from '@oclif/core';

import { CollectionSchema } from '../../../gen/molten/v1/collections_pb.ts';
import { collectionFlags, settingsOf } from '../../lib/collection-flags.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Creates a collection. */
export default class CollectionsCreate extends MoltenCommand {
  static override readonly summary = 'Make a collection with its settings.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = collectionFlags;

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(CollectionsCreate);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const request = { collection: String(args['collection']), settings: settingsOf(flags) };
    const { collection } = await collections.createCollection(request);
    this.log(`${request.collection} has revision ${String(collection?.revision ?? 0)}`);
    return collection && toJson(CollectionSchema, collection, { alwaysEmitImplicit: true });
  }
}
