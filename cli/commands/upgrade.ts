import { Args, Flags, type Interfaces } from '@oclif/core';

import { importLog } from '../../src/server/recovery.ts';
import { OfflineCommand } from '../lib/offline-command.ts';

/** Makes a store of the log of an earlier MoltenDB. */
export default class Upgrade extends OfflineCommand {
  static override readonly summary = 'Make a store of the log of MoltenDB 0.x.';
  static override readonly description =
    'Reads its JSON lines; every entry keeps its time, so that the past can be read and recovered here too. The log is only read. Indexes and schemas are to be declared again; they are named.';
  static override readonly args: Interfaces.ArgInput = {
    file: Args.string({ description: 'The log.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    out: Flags.string({ description: 'The new directory.', default: './data' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Upgrade);
    const out = String(flags['out']);
    const file = String(args['file']);
    const { lines, checked, notes } = await importLog({
      file,
      out,
      password: this.password(flags),
    });
    for (const note of notes) this.logToStderr(`note: ${note}`);
    const documents = checked.collections.reduce((sum, one) => sum + one.documents, 0);
    this.log(`${out} has ${String(documents)} documents, from ${String(lines)} lines`);
    return { out, lines, notes, sequence: checked.sequence, collections: checked.collections };
  }
}
