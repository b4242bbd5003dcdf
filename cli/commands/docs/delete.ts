import type { JsonObject } from '@bufbuild/protobuf';
import { Args, Flags, type Interfaces } from '@oclif/core';

import { readObject, usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Deletes documents by key or by filter. */
export default class DocsDelete extends MoltenCommand {
  static override readonly summary = 'Delete documents by key, or those that match a filter.';
  static override readonly strict = false;
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection; keys may follow.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    where: Flags.string({ char: 'w', description: 'The filter, when no keys are given.' }),
    limit: Flags.integer({ description: 'At most this many.', default: 100, min: 1, max: 10_000 }),
    'dry-run': Flags.boolean({ description: 'Only count.' }),
  };

  async run(): Promise<unknown> {
    const { argv, flags } = await this.parse(DocsDelete);
    const [collection = '', ...keys] = argv as string[];
    const where = flags['where'] as string | undefined;
    if ((where === undefined) === (keys.length === 0)) {
      throw usageError('give keys or --where');
    }
    const { documents } = this.client(flags as unknown as ServerFlags);
    const validateOnly = flags['dry-run'] === true;
    const { deletedCount } =
      where === undefined
        ? await documents.batchDeleteDocuments({ collection, keys, validateOnly })
        : await documents.deleteMatchingDocuments({
            ...{ collection, validateOnly, limit: Number(flags['limit']) },
            where: readObject(where, '--where') as JsonObject,
          });
    this.log(`${String(deletedCount)} ${validateOnly ? 'would be deleted' : 'deleted'}`);
    return { deleted: Number(deletedCount), dryRun: validateOnly };
  }
}
