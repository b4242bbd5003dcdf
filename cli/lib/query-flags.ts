import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { Flags, type Interfaces } from '@oclif/core';

import { QuerySchema, SortDirection, type Query } from '../../gen/molten/v1/query_pb.ts';
import { readJson, readObject, sortKeyIn, usageError } from './input.ts';

/** The flags of commands that find documents. */
export const queryFlags: Interfaces.FlagInput = {
  where: Flags.string({
    char: 'w',
    description: 'The filter: JSON, @file, or - for standard input.',
  }),
  sort: Flags.string({
    char: 's',
    description: 'Sort by this path, `path` or `path:desc`. May be given several times.',
    multiple: true,
  }),
  fields: Flags.string({ char: 'f', description: 'Only these paths, with commas between them.' }),
  'excluded-fields': Flags.string({
    description: 'All but these paths, with commas between them.',
  }),
  joins: Flags.string({
    description: 'Joins: a JSON list of {"alias", "from", "on", "fields"}.',
  }),
};

/** What those flags are. */
export interface QueryFlags {
  readonly where?: string | undefined;
  readonly sort?: readonly string[] | undefined;
  readonly fields?: string | undefined;
  readonly 'excluded-fields'?: string | undefined;
  readonly joins?: string | undefined;
}

/** The query that flags ask for. */
export function queryOf(flags: QueryFlags): Query {
  return create(QuerySchema, {
    ...(flags.where === undefined
      ? {}
      : { where: readObject(flags.where, '--where') as JsonObject }),
    sort: (flags.sort ?? []).map(sortOf),
    fields: listOf(flags.fields),
    excludedFields: listOf(flags['excluded-fields']),
    joins: flags.joins === undefined ? [] : joinsOf(flags.joins),
  });
}

function joinsOf(argument: string): NonNullable<MessageInitShape<typeof QuerySchema>['joins']> {
  const joins = readJson(argument, '--joins');
  if (!Array.isArray(joins)) throw usageError('--joins is not a JSON list');
  return joins.map((join: unknown) => {
    const { alias = '', from = '', on = '', fields = [] } = Object(join) as Record<string, never>;
    return { alias, from, on, fields };
  });
}

function sortOf(text: string): { path: string; direction: SortDirection } {
  const { path, isDescending } = sortKeyIn(text, '--sort');
  return { path, direction: isDescending ? SortDirection.DESCENDING : SortDirection.ASCENDING };
}

/** The items of a list with commas; none when it is absent. */
export function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
