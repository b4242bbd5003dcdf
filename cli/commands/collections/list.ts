import { toJson } from '@bufbuild/protobuf';

import { CollectionSchema } from '../../../gen/molten/v1/collections_pb.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { collectPages, PAGE_SIZE } from '../../lib/pages.ts';

/** Lists collections. */
export default class CollectionsList extends MoltenCommand {
  static override readonly summary = 'List collections with their sizes.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(CollectionsList);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const found = await collectPages(async (pageToken) => {
      const page = await collections.listCollections({ pageToken, pageSize: PAGE_SIZE });
      return { items: page.collections, nextPageToken: page.nextPageToken };
    });
    this.printRows(
      found.map(({ name, documentCount, sizeBytes }) => ({
        ...{ name, documents: Number(documentCount), bytes: Number(sizeBytes) },
      })),
    );
    return found.map((one) => toJson(CollectionSchema, one, { alwaysEmitImplicit: true }));
  }
}
