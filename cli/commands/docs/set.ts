import { Args, Flags, type Interfaces } from '@oclif/core';

import { toBody } from '../../../src/client/documents.ts';
import { readObject } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { preconditionOf, writeFlags } from '../../lib/write-flags.ts';

/** Creates or replaces one document. */
export default class DocsSet extends MoltenCommand {
  static override readonly summary = 'Create or replace a document.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
    key: Args.string({ description: 'The key.', required: true }),
    body: Args.string({
      description: 'The document: JSON, @file, or - for standard input.',
      required: true,
    }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...writeFlags,
    'must-not-exist': Flags.boolean({ description: 'Fail when the document exists.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(DocsSet);
    const { collection, key, body } = args as Record<string, string>;
    const { result } = await this.client(flags as unknown as ServerFlags).documents.setDocument({
      ...{ collection: collection ?? '', key: key ?? '' },
      body: toBody(readObject(body ?? '', 'the document')),
      ...preconditionOf(flags),
    });
    this.log(`${key ?? ''} has version ${String(result?.version ?? 0)}`);
    return { key, version: String(result?.version), created: result?.created };
  }
}
