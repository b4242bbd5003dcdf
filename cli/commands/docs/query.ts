import { toJson } from '@bufbuild/protobuf';
import { Args, Flags, type Interfaces } from '@oclif/core';

import { QueryPlanSchema } from '../../../gen/molten/v1/query_pb.ts';
import { DocumentEncoding } from '../../../gen/molten/v1/documents_pb.ts';
import { queryAll, toPlain } from '../../../src/client/documents.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { queryFlags, queryOf, type QueryFlags } from '../../lib/query-flags.ts';

/** Finds documents. */
export default class DocsQuery extends MoltenCommand {
  static override readonly summary = 'Find documents by a filter.';
  static override readonly examples: string[] = [
    `<%= config.bin %> docs query cities --where '{"country":"CH"}' --sort name --limit 5`,
  ];
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...queryFlags,
    limit: Flags.integer({
      char: 'n',
      description: 'At most this many.',
      default: 100,
      min: 1,
      max: 1000,
    }),
    offset: Flags.integer({ description: 'Skip this many.', default: 0, min: 0 }),
    total: Flags.boolean({ description: 'Also count all matches.' }),
    all: Flags.boolean({ description: 'Every match, whatever the limit.' }),
    explain: Flags.boolean({ description: 'Show how the query runs instead of what it finds.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(DocsQuery);
    const collection = String(args['collection']);
    const client = this.client(flags as unknown as ServerFlags);
    const query = queryOf(flags as QueryFlags);
    const pageSize = Number(flags['limit']);
    if (flags['explain'] === true) {
      const { plan } = await client.documents.explainQuery({ collection, query, pageSize });
      const json = plan && toJson(QueryPlanSchema, plan, { alwaysEmitImplicit: true });
      this.log(JSON.stringify(json, undefined, 2));
      return json;
    }
    if (flags['all'] === true) {
      const documents = [];
      for await (const document of queryAll(client, { collection, query, pageSize: 1000 })) {
        documents.push(toPlain(document));
      }
      this.printRows(documents);
      return { documents };
    }
    const page = await client.documents.queryDocuments({
      ...{ collection, query, pageSize, encoding: DocumentEncoding.JSON },
      offset: Number(flags['offset']),
      includeTotal: flags['total'] === true,
    });
    const documents = page.documents.map(toPlain);
    this.printRows(documents);
    const total = page.totalSize === undefined ? undefined : Number(page.totalSize);
    if (total !== undefined) this.logToStderr(`${String(total)} in all`);
    else if (page.nextPageToken !== '') this.logToStderr('there are more; use --all or --limit');
    return { documents, ...(total === undefined ? {} : { total }) };
  }
}
