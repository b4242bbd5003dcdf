import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Drops a collection. */
export default class CollectionsDrop extends MoltenCommand {
  static override readonly summary = 'Drop a collection with all its documents.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    yes: Flags.boolean({ char: 'y', description: 'Do not ask.' }),
    'dry-run': Flags.boolean({ description: 'Only count its documents.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(CollectionsDrop);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const collection = String(args['collection']);
    const { documentCount: count } = await collections.dropCollection({
      ...{ collection, validateOnly: true },
    });
    if (flags['dry-run'] === true) {
      this.log(`${collection} has ${String(count)} documents`);
      return { collection, documents: Number(count), dropped: false };
    }
    const message = `Drop ${collection} with its ${String(count)} documents?`;
    await this.demandConsent(message, flags['yes'] === true);
    const { documentCount } = await collections.dropCollection({ collection });
    this.log(`${collection} dropped, with ${String(documentCount)} documents`);
    return { collection, documents: Number(documentCount), dropped: true };
  }
}
