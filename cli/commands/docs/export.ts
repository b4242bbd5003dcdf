import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { Args, Flags, type Interfaces } from '@oclif/core';

import { DocumentEncoding } from '../../../gen/molten/v1/documents_pb.ts';
import { toPlain, toPlainWithSystem } from '../../../src/client/documents.ts';
import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { createProgress } from '../../lib/progress.ts';
import { queryFlags, queryOf, type QueryFlags } from '../../lib/query-flags.ts';

/** Writes documents to a file. */
export default class DocsExport extends MoltenCommand {
  static override readonly summary = 'Write documents to a file, one JSON object a line.';
  static override readonly description =
    'All of it is of one state: that of the sequence at which the export began. The audit log says who took it along.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...queryFlags,
    output: Flags.string({ char: 'o', description: 'The file. Otherwise standard output.' }),
    system: Flags.boolean({ description: 'With all system fields.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(DocsExport);
    const collection = String(args['collection']);
    const file = flags['output'] as string | undefined;
    if (file === undefined && this.jsonEnabled()) {
      throw usageError('--json wants --output: otherwise the documents are the answer');
    }
    const client = this.client(flags as unknown as ServerFlags);
    const query = queryOf(flags as QueryFlags);
    const pages = client.documents.exportDocuments(
      { collection, query, encoding: DocumentEncoding.JSON },
      { timeoutMs: 0 },
    );
    const shape = flags['system'] === true ? toPlainWithSystem : toPlain;
    const progress = createProgress('exported', (line) => process.stderr.write(line));
    let count = 0;
    let sequence = 0n;
    async function* lines(): AsyncGenerator<string> {
      for await (const { documents, readSequence } of pages) {
        sequence = readSequence;
        for (const document of documents) yield `${JSON.stringify(shape(document))}\n`;
        count += documents.length;
        progress.show(count);
      }
    }
    await (file === undefined
      ? pipeline(lines, process.stdout, { end: false })
      : pipeline(lines, createWriteStream(file, { mode: 0o600 })));
    progress.finish(count);
    this.logToStderr(`${String(count)} documents exported`);
    return { collection, exported: count, sequence: String(sequence) };
  }
}
