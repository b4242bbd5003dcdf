import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { Args, Flags, type Interfaces } from '@oclif/core';

import {
  DocumentEncoding,
  type ExportDocumentsResponse,
} from '../../../gen/molten/v1/documents_pb.ts';
import type { MoltenClient } from '../../../src/client/client.ts';
import { toPlain, toPlainWithSystem } from '../../../src/client/documents.ts';
import { MoltenError } from '../../../src/client/molten-error.ts';
import { encrypt, encrypterOf, encryptionFlags } from '../../lib/encrypted-files.ts';
import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { createProgress } from '../../lib/progress.ts';
import { queryFlags, queryOf, type QueryFlags } from '../../lib/query-flags.ts';

/** Writes documents to a file. */
export default class DocsExport extends MoltenCommand {
  static override readonly summary = 'Write documents to a file, one JSON object a line.';
  static override readonly description =
    'All of it is of one state: that of the sequence at which the export began. The audit log says who took it along. --encrypt-to and --passphrase-file encrypt it on its way, in the format of age, so that no text of it touches a disk.';
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    ...queryFlags,
    output: Flags.string({ char: 'o', description: 'The file. Otherwise standard output.' }),
    system: Flags.boolean({ description: 'With all system fields.' }),
    ...encryptionFlags,
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
    const encrypter = encrypterOf(flags);
    if (encrypter !== undefined && file === undefined && process.stdout.isTTY) {
      throw usageError('what is encrypted is no text for a terminal; use --output');
    }
    const lines = new Lines(pages, flags['system'] === true ? toPlainWithSystem : toPlain);
    // Before the file is opened, which may be an export of before.
    if (!(await lines.begin())) await demandCollection(client, collection);
    const output = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
    // Standard output stays open for what comes after it.
    await pipeline(await encrypt(lines, encrypter), output, { end: file !== undefined });
    const { count, sequence } = lines;
    this.logToStderr(`${String(count)} documents exported`);
    return { collection, exported: count, sequence: String(sequence) };
  }
}

/** COLLECTION_NOT_FOUND for one that there is not: its export would be as empty as that of an empty one. */
async function demandCollection({ collections }: MoltenClient, collection: string): Promise<void> {
  try {
    await collections.getCollection({ collection });
  } catch (error) {
    if (error instanceof MoltenError && error.reason === 'COLLECTION_NOT_FOUND') throw error;
    // Who may not look at the collection still gets what it may read of it.
  }
}

/** Documents as lines, a page at a time, and how many there were. */
class Lines implements AsyncIterable<Uint8Array> {
  readonly #pages: AsyncIterator<ExportDocumentsResponse>;
  readonly #shape: typeof toPlain;
  #next: IteratorResult<ExportDocumentsResponse> | undefined;
  count = 0;
  sequence = 0n;

  constructor(pages: AsyncIterable<ExportDocumentsResponse>, shape: typeof toPlain) {
    this.#pages = pages[Symbol.asyncIterator]();
    this.#shape = shape;
  }

  /** Reads the first page; whether there is a document. */
  async begin(): Promise<boolean> {
    this.#next = await this.#pages.next();
    return this.#next.done !== true && this.#next.value.documents.length > 0;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const progress = createProgress('exported', (line) => process.stderr.write(line));
    let page = this.#next ?? (await this.#pages.next());
    try {
      for (; page.done !== true; page = await this.#pages.next()) {
        const { documents, readSequence } = page.value;
        this.sequence = readSequence;
        this.count += documents.length;
        progress.show(this.count);
        const lines = documents.map((document) => `${JSON.stringify(this.#shape(document))}\n`);
        yield Buffer.from(lines.join(''));
      }
    } finally {
      await this.#pages.return?.();
    }
    progress.finish(this.count);
  }
}
