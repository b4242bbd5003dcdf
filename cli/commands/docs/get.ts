import { Args, Flags, type Interfaces } from '@oclif/core';

import { DocumentEncoding } from '../../../gen/molten/v1/documents_pb.ts';
import { toPlainWithSystem } from '../../../src/client/documents.ts';
import { wholeIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { listOf } from '../../lib/query-flags.ts';

/** Shows one document or several. */
export default class DocsGet extends MoltenCommand {
  static override readonly summary = 'Show documents by key.';
  static override readonly strict = false;
  static override readonly args: Interfaces.ArgInput = {
    collection: Args.string({ description: 'The collection.', required: true }),
    key: Args.string({ description: 'The key; several may follow.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    fields: Flags.string({ char: 'f', description: 'Only these paths, with commas between them.' }),
    'at-sequence': Flags.string({
      description: 'As it was right after this sequence. 0: now.',
      default: '0',
    }),
  };

  async run(): Promise<unknown> {
    const { argv, flags } = await this.parse(DocsGet);
    const [collection = '', ...keys] = argv as string[];
    const { documents } = this.client(flags as unknown as ServerFlags);
    const shared = {
      ...{ collection, fields: listOf(flags['fields'] as string | undefined) },
      readSequence: wholeIn(String(flags['at-sequence']), '--at-sequence'),
      encoding: DocumentEncoding.JSON,
    };
    const [key = ''] = keys;
    if (keys.length === 1) {
      const { document } = await documents.getDocument({ ...shared, key });
      const plain = document && toPlainWithSystem(document);
      this.log(JSON.stringify(plain, undefined, 2));
      return plain;
    }
    const found = await documents.batchGetDocuments({ ...shared, keys });
    const plain = found.documents.map(toPlainWithSystem);
    for (const document of plain) this.log(JSON.stringify(document));
    for (const missing of found.missingKeys) this.logToStderr(`${missing} does not exist`);
    return { documents: plain, missingKeys: found.missingKeys };
  }
}
