import { Flags, type Interfaces } from '@oclif/core';

import { changeStorePassword } from '../../../src/server/recovery.ts';
import { readSecretFile, usageError } from '../../lib/input.ts';
import { OfflineCommand } from '../../lib/offline-command.ts';

/** Changes the encryption key of a store. */
export default class EncryptionChangePassword extends OfflineCommand {
  static override readonly summary = 'Give a store another encryption key.';
  static override readonly description =
    'Wraps the random key that the pages are encrypted with anew; no page is written. The server must be stopped. Snapshots from before still open with the old key.';
  static override readonly flags: Interfaces.FlagInput = {
    'new-encryption-key-file': Flags.string({
      description: 'A file with the new encryption key.',
      required: true,
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(EncryptionChangePassword);
    const from = this.password(flags);
    if (from === undefined) throw usageError('give the encryption key that the store has now');
    const to = readSecretFile(String(flags['new-encryption-key-file']));
    const directory = String(flags['db-path']);
    await changeStorePassword(directory, { from, to });
    this.log(`${directory} opens with the new encryption key`);
    return { directory };
  }
}
