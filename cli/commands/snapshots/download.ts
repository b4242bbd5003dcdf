import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { Args, Flags, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { createProgress } from '../../lib/progress.ts';

/** Copies a snapshot from the server. */
export default class SnapshotsDownload extends MoltenCommand {
  static override readonly summary = 'Copy a snapshot from the server into a new directory.';
  static override readonly description =
    'The directory has all that `molten recover --snapshot` and `molten verify` need, keyring included.';
  static override readonly args: Interfaces.ArgInput = {
    snapshot: Args.string({ description: 'Its name.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    output: Flags.string({ char: 'o', description: 'The directory to put it in.', default: '.' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(SnapshotsDownload);
    const client = this.client(flags as unknown as ServerFlags);
    const snapshot = String(args['snapshot']);
    const directory = join(String(flags['output']), snapshot);
    const progress = createProgress('bytes', (line) => process.stderr.write(line));
    let bytes = 0;
    let isMade = false;
    const pieces = client.snapshots.downloadSnapshot({ snapshot }, { timeoutMs: 0 });
    for await (const { file, offset, data } of pieces) {
      // Not before there is something to put there; one that is there is left as it is.
      if (!isMade) mkdirSync(directory, { mode: 0o700 });
      isMade = true;
      // Only names: what a server says must not lead out of the directory.
      const flag = offset === 0n ? 'w' : 'a';
      writeFileSync(join(directory, basename(file)), data, { flag, mode: 0o600 });
      bytes += data.length;
      progress.show(bytes);
    }
    progress.finish(bytes);
    this.log(directory);
    return { snapshot, directory, bytes };
  }
}
