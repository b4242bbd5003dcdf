import { toJson } from '@bufbuild/protobuf';
import { Args, Flags, type Interfaces } from '@oclif/core';

import { CollectionSchema } from '../../../gen/molten/v1/collections_pb.ts';
import { collectionFlags, settingsOf } from '../../lib/collection-flags.ts';
import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Flags, and the setting that each gives or, as --unset, takes away. */
const SETTABLE: ReadonlyMap<string, string> = new Map([
  ['schema', 'schema'],
  ['schema-warn', 'schema_enforcement'],
  ['ttl', 'ttl'],
  ['document-ttl', 'document_ttl'],
  ['max-size', 'max_size'],
]);

/** Updates a collection. */
export default class CollectionsUpdate extends MoltenCommand {
  static override readonly summary = 'Change the settings of a collection; those not given stay.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...collectionFlags,
    unset: Flags.string({
      description: 'Take this setting away. May be given several times.',
      options: [...SETTABLE.keys()],
      multiple: true,
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(CollectionsUpdate);
    const { collections } = this.client(flags as unknown as ServerFlags);
    const unset = (flags['unset'] ?? []) as readonly string[];
    const given = [...SETTABLE].flatMap(([flag, path]) =>
      flags[flag] === undefined ? [] : [path],
    );
    const removed = unset.flatMap((name) => SETTABLE.get(name) ?? []);
    if (given.length + removed.length === 0) throw usageError('say what to change; see --help');
    const twice = unset.find((name) => flags[name] !== undefined);
    if (twice !== undefined) throw usageError(`give --${twice} or --unset ${twice}, not both`);
    const request = {
      ...{ collection: String(args['collection']), settings: settingsOf(flags) },
      updateMask: { paths: [...given, ...removed] },
    };
    const { collection } = await collections.updateCollection(request);
    this.log(`${request.collection} has revision ${String(collection?.revision ?? 0)}`);
    return collection && toJson(CollectionSchema, collection, { alwaysEmitImplicit: true });
  }
}
