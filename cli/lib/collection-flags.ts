import { create, type JsonObject } from '@bufbuild/protobuf';
import { Flags, type Interfaces } from '@oclif/core';

import {
  CollectionSettingsSchema,
  SchemaEnforcement,
  type CollectionSettings,
} from '../../gen/molten/v1/collections_pb.ts';
import { readObject } from './input.ts';

/** The flags of commands that make or change a collection. */
export const collectionFlags: Interfaces.FlagInput = {
  schema: Flags.string({ description: 'A JSON Schema: JSON, @file, or - for standard input.' }),
  'schema-warn': Flags.boolean({ description: 'Documents that break the schema are only logged.' }),
  ttl: Flags.integer({ description: 'Seconds after the last write when it is emptied.', min: 1 }),
  'document-ttl': Flags.integer({ description: 'Seconds that each document lives.', min: 0 }),
  'document-ttl-field': Flags.string({
    description: 'The path of the time that --document-ttl counts from.',
    dependsOn: ['document-ttl'],
  }),
  'max-size': Flags.integer({ description: 'More documents than this remove the oldest.', min: 1 }),
};

/** The settings that flags ask for. */
export function settingsOf(flags: Readonly<Record<string, unknown>>): CollectionSettings {
  const { schema, ttl } = flags;
  const documentTtl = flags['document-ttl'];
  const field = flags['document-ttl-field'];
  return create(CollectionSettingsSchema, {
    ...(typeof schema === 'string' ? { schema: readObject(schema, '--schema') as JsonObject } : {}),
    ...(flags['schema-warn'] === true ? { schemaEnforcement: SchemaEnforcement.WARN } : {}),
    ...(typeof ttl === 'number' ? { ttl: { seconds: BigInt(ttl) } } : {}),
    ...(typeof documentTtl === 'number'
      ? {
          documentTtl: {
            after: { seconds: BigInt(documentTtl) },
            field: typeof field === 'string' ? field : '',
          },
        }
      : {}),
    maxSize: BigInt(Number(flags['max-size'] ?? 0)),
  });
}
