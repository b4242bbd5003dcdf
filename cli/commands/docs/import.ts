import { randomUUID } from 'node:crypto';

import { Args, Flags, type Interfaces } from '@oclif/core';

import type { MoltenClient } from '../../../src/client/client.ts';
import { toBody } from '../../../src/client/documents.ts';
import { withRetries } from '../../../src/client/retry.ts';
import { decrypterOf, decryptionFlags, readContent } from '../../lib/encrypted-files.ts';
import {
  formatOf,
  readDocuments,
  type FileDocument,
  type Format,
} from '../../lib/json-documents.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { createProgress } from '../../lib/progress.ts';

/** Writes the documents of a file. */
export default class DocsImport extends MoltenCommand {
  static override readonly summary = 'Write the documents of a file into a collection.';
  static override readonly description =
    'Takes a JSON list of objects, a JSON object of objects by key, or one object a line (.ndjson, .jsonl). The file is read as a stream; batches are atomic and tried again when the server is busy, without writing anything twice.';
  static override readonly args: Interfaces.ArgInput = {
    file: Args.string({ description: 'The file, or - for standard input.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    collection: Flags.string({ char: 'c', description: 'Where to.', required: true }),
    'key-field': Flags.string({
      char: 'k',
      description:
        'The member whose value is the key. Otherwise `_key`, as exports have it; otherwise the server makes keys.',
    }),
    'key-prefix': Flags.string({
      description: 'Put before keys that are counted, with --number-keys.',
    }),
    'number-keys': Flags.boolean({ description: 'Make keys of the place in the file, from 1.' }),
    format: Flags.string({
      description: 'Otherwise by the name of the file, or by what it starts with.',
      options: ['json', 'ndjson'],
    }),
    'batch-size': Flags.integer({
      description: 'Documents per commit.',
      default: 500,
      min: 1,
      max: 1000,
    }),
    ...decryptionFlags,
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(DocsImport);
    const client = this.client(flags as unknown as ServerFlags);
    const collection = String(flags['collection']);
    const importer = new Importer(client, collection);
    const file = String(args['file']);
    const format = (flags['format'] as Format | undefined) ?? formatOf(file);
    try {
      const content = await readContent(file, decrypterOf(flags));
      await importer.writeAll(entriesOf(readDocuments(content, format), flags), flags);
    } catch (error) {
      throw withCount(error, importer.imported);
    }
    this.log(`${String(importer.imported)} documents imported into ${collection}`);
    return { collection, imported: importer.imported, created: importer.created };
  }
}

interface Entry {
  readonly key: string;
  readonly value: Record<string, unknown>;
}

class Importer {
  readonly #client: MoltenClient;
  readonly #collection: string;
  readonly #run = randomUUID();
  #batches = 0;
  imported = 0;
  created = 0;

  constructor(client: MoltenClient, collection: string) {
    this.#client = client;
    this.#collection = collection;
  }

  /** Writes batch by batch, so that no more than one is in memory. */
  async writeAll(
    entries: AsyncIterable<Entry>,
    { 'batch-size': batchSize }: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const progress = createProgress('imported', (line) => process.stderr.write(line));
    let batch: Entry[] = [];
    for await (const entry of entries) {
      batch.push(entry);
      if (batch.length < Number(batchSize)) continue;
      await this.#write(batch);
      progress.show(this.imported);
      batch = [];
    }
    if (batch.length > 0) await this.#write(batch);
    progress.finish(this.imported);
  }

  async #write(batch: readonly Entry[]): Promise<void> {
    this.#batches += 1;
    const request = {
      collection: this.#collection,
      requestId: `import-${this.#run}-${String(this.#batches)}`,
      writes: batch.map(({ key, value }) => ({ key, body: toBody(value) })),
    };
    const { results } = await withRetries(() => this.#client.documents.batchSetDocuments(request));
    this.imported += results.length;
    this.created += results.filter(({ created }) => created).length;
  }
}

async function* entriesOf(
  documents: AsyncIterable<FileDocument>,
  flags: Readonly<Record<string, unknown>>,
): AsyncIterable<Entry> {
  for await (const document of documents) {
    yield { key: keyOf(document, flags), value: withoutSystem(document.value) };
  }
}

/** What was imported before a failure stays, and whoever reads of the failure must know how much. */
function withCount(error: unknown, imported: number): unknown {
  if (imported > 0 && error instanceof Error) {
    error.message += `; ${String(imported)} documents were imported before that`;
  }
  return error;
}

/** What `docs export` adds, and the server adds again. */
const SYSTEM_MEMBERS = ['_key', '_v', '_seq', '_createdAt', '_modifiedAt', '_expiresAt'];

function withoutSystem(value: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(value).filter(([name]) => !SYSTEM_MEMBERS.includes(name));
  return Object.fromEntries(kept);
}

function keyOf({ name, value, number }: FileDocument, flags: Record<string, unknown>): string {
  const isExported = typeof value['_key'] === 'string' && flags['number-keys'] !== true;
  const field = flags['key-field'] ?? (isExported ? '_key' : undefined);
  if (typeof field === 'string') {
    const key = value[field];
    if (typeof key === 'string' || typeof key === 'number') return String(key);
    throw new Error(`document ${String(number)} has no text or number at '${field}' to be its key`);
  }
  if (flags['number-keys'] !== true) return name ?? '';
  const prefix = flags['key-prefix'];
  return `${typeof prefix === 'string' ? prefix : ''}${String(number)}`;
}
