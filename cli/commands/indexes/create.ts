import { setTimeout as wait } from 'node:timers/promises';

import { toJson } from '@bufbuild/protobuf';
import { Args, Flags, type Interfaces } from '@oclif/core';

import {
  IndexDirection,
  IndexSchema,
  IndexState,
  type Index,
} from '../../../gen/molten/v1/collections_pb.ts';
import type { MoltenClient } from '../../../src/client/client.ts';
import { EXIT } from '../../lib/exit-codes.ts';
import { sortKeyIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

const POLL_MS = 100;

/** Declares an index and waits until it is built. */
export default class IndexesCreate extends MoltenCommand {
  static override readonly summary = 'Declare an index and wait until it is built.';
  static override readonly strict = false;
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
    path: Args.string({
      description: 'A path, `path` or `path:desc`; more may follow.',
      required: true,
    }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    name: Flags.string({ description: 'Its name. Otherwise made of the paths.', default: '' }),
    unique: Flags.boolean({ description: 'Refuse two documents with the same values.' }),
    'no-wait': Flags.boolean({ description: 'Do not wait until it is built.' }),
  };

  async run(): Promise<unknown> {
    const { argv, flags } = await this.parse(IndexesCreate);
    const [collection = '', ...paths] = argv as string[];
    const client = this.client(flags as unknown as ServerFlags);
    const { index: declared } = await client.collections.createIndex({
      ...{ collection, index: String(flags['name']), unique: flags['unique'] === true },
      fields: paths.map(fieldOf),
    });
    const name = declared?.name ?? '';
    const index = flags['no-wait'] === true ? declared : await built(client, collection, name);
    if (index?.state === IndexState.FAILED) {
      this.error(`index ${name} failed: ${index.failure}`, { exit: EXIT.conflict });
    }
    this.log(
      `index ${name} of ${collection}: ${String(index?.indexedCount ?? 0)} documents indexed`,
    );
    return index && toJson(IndexSchema, index, { alwaysEmitImplicit: true });
  }
}

async function built(
  { collections }: MoltenClient,
  collection: string,
  name: string,
): Promise<Index | undefined> {
  for (;;) {
    const { index } = await collections.getIndex({ collection, index: name });
    if (index?.state !== IndexState.BUILDING) return index;
    await wait(POLL_MS);
  }
}

function fieldOf(text: string): { path: string; direction: IndexDirection } {
  const { path, isDescending } = sortKeyIn(text, 'the path');
  return { path, direction: isDescending ? IndexDirection.DESCENDING : IndexDirection.ASCENDING };
}
