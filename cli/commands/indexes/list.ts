import { toJson } from '@bufbuild/protobuf';
import { Args, type Interfaces } from '@oclif/core';

import { IndexDirection, IndexSchema, IndexState } from '../../../gen/molten/v1/collections_pb.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

const STATES: ReadonlyMap<number, string> = new Map([
  [IndexState.BUILDING, 'building'],
  [IndexState.READY, 'ready'],
  [IndexState.FAILED, 'failed'],
]);

/** Lists the indexes of a collection. */
export default class IndexesList extends MoltenCommand {
  static override readonly summary = 'List the indexes of a collection.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(IndexesList);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const { indexes } = await collections.listIndexes({ collection: String(args['collection']) });
    this.printRows(
      indexes.map(({ name, fields, unique, state, indexedCount }) => ({
        name,
        fields: fields
          .map(({ path, direction }) =>
            direction === IndexDirection.DESCENDING ? `${path}:desc` : path,
          )
          .join(', '),
        ...{ unique, state: STATES.get(state) ?? '' },
        indexed: Number(indexedCount),
      })),
    );
    return indexes.map((index) => toJson(IndexSchema, index, { alwaysEmitImplicit: true }));
  }
}
