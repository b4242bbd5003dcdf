import { Args, Flags, type Interfaces } from '@oclif/core';

import { verify } from '../../src/server/recovery.ts';
import { EXIT } from '../lib/exit-codes.ts';
import { OfflineCommand } from '../lib/offline-command.ts';

/** Reads all of a store, a snapshot or an archive. */
export default class Verify extends OfflineCommand {
  static override readonly summary =
    'Read all of a store, a snapshot or an archive, and name damage.';
  static override readonly description =
    'Every page, every entry of the log, every document and every hash. Ends with exit code 9 when anything is damaged. A store may be open in a server meanwhile.';
  static override readonly args: Interfaces.ArgInput = {
    directory: Args.string({ description: 'What to read. Otherwise the store of --db-path.' }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    store: Flags.string({
      description: 'The store or snapshot whose keyring an encrypted archive needs.',
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Verify);
    const directory = (args['directory'] as string | undefined) ?? String(flags['db-path']);
    const store = (flags['store'] as string | undefined) ?? String(flags['db-path']);
    const found = await verify(directory, { password: this.password(flags), store });
    if (found.kind === 'archive') {
      for (const { epoch, segments, first, last, missing } of found.timelines) {
        if (missing > 0n) this.logToStderr(`${epoch}: ${String(missing)} sequences are missing`);
        this.log(
          `${epoch}: ${String(segments)} segments, sequences ${String(first)} to ${String(last)}`,
        );
      }
      return found.timelines.map((one) => ({
        ...{ ...one, first: String(one.first), last: String(one.last) },
        missing: String(one.missing),
      }));
    }
    const { problems, sequence, floor, collections } = found.store;
    for (const problem of problems) this.logToStderr(`damaged: ${problem}`);
    if (problems.length > 0) process.exitCode = EXIT.damaged;
    else this.log(`${found.kind} is sound: sequences ${String(floor)} to ${String(sequence)}`);
    for (const { name, documents, bytes, sha256 } of collections) {
      this.log(`  ${name}: ${String(documents)} documents, ${String(bytes)} bytes, ${sha256}`);
    }
    return { kind: found.kind, ...found.store };
  }
}
