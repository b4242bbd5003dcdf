import type { JsonObject } from '@bufbuild/protobuf';
import { Args, Flags, type Interfaces } from '@oclif/core';

import { readObject } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { preconditionOf, writeFlags } from '../../lib/write-flags.ts';

/** Merges into one document. */
export default class DocsUpdate extends MoltenCommand {
  static override readonly summary = 'Change a part of a document.';
  static override readonly description =
    'Merges as RFC 7396: members replace, objects merge, null removes.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
    key: Args.string({ description: 'The key.', required: true }),
    merge: Args.string({
      description: 'What to merge: JSON, @file, or - for standard input.',
      required: true,
    }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...writeFlags,
    create: Flags.boolean({ description: 'Create the document when it does not exist.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(DocsUpdate);
    const { collection = '', key = '', merge = '' } = args as Record<string, string>;
    const { result } = await this.client(flags as unknown as ServerFlags).documents.updateDocument({
      ...{ collection, key, allowMissing: flags['create'] === true },
      change: { merge: readObject(merge, 'the merge') as JsonObject },
      ...preconditionOf(flags),
    });
    this.log(`${key} has version ${String(result?.version ?? 0)}`);
    return { key, version: String(result?.version), created: result?.created };
  }
}
