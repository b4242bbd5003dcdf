import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { awaitOperation } from '../../lib/operations.ts';
import { pastFlags, pointOf } from '../../lib/past-point.ts';

/** Brings documents of the past back under another name. */
export default class RestoresCreate extends MoltenCommand {
  static override readonly summary = 'Write a collection as it was into another one.';
  static override readonly examples: string[] = [
    '<%= config.bin %> restores create orders orders-yesterday --to-time 2026-01-31T23:59:59Z',
  ];
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection, as it was called.', required: true }),
    target: Args.string({ description: 'Where to; must have no documents.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...pastFlags,
    key: Flags.string({ char: 'k', description: 'Only this document.', multiple: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(RestoresCreate);
    const client = this.client(flags as unknown as ServerFlags);
    const { operation } = await client.snapshots.restoreCollection({
      ...{ point: pointOf(flags), collection: String(args['collection']) },
      ...{ target: String(args['target']), keys: (flags['key'] ?? []) as string[] },
    });
    const { doneCount } = await awaitOperation(client, operation);
    this.log(`${String(doneCount)} documents written to ${String(args['target'])}`);
    return { target: String(args['target']), documents: Number(doneCount) };
  }
}
