import { Flags, type Interfaces } from '@oclif/core';

import { activate, rotateDataKey } from '../../../src/server/recovery.ts';
import { usageError } from '../../lib/input.ts';
import { OfflineCommand } from '../../lib/offline-command.ts';

/** Encrypts a store anew. */
export default class EncryptionRotateOffline extends OfflineCommand {
  static override readonly summary =
    'Write a store that no server has open again, under a new random data key.';
  static override readonly description =
    'Into a new directory, read through before it is called done; the password stays. A cleartext store becomes an encrypted one. Watches start anew, because the log begins a new timeline.';
  static override readonly flags: Interfaces.FlagInput = {
    out: Flags.string({ description: 'The new directory.', default: './rotated' }),
    activate: Flags.boolean({
      description: 'Then put it in the place of the store, which is kept under another name.',
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(EncryptionRotateOffline);
    const password = this.password(flags);
    if (password === undefined) throw usageError('give the encryption key of the store');
    const [source, out] = [String(flags['db-path']), String(flags['out'])];
    const { sequence, collections } = await rotateDataKey({ source, out, password });
    if (flags['activate'] !== true) {
      this.log(`written to ${out}; molten activate ${out} makes it live`);
      return { out, sequence, collections };
    }
    const kept = activate(out, source);
    this.log(
      `${source} has a new key${kept === undefined ? '' : `; what was there is in ${kept}`}`,
    );
    return { out: source, kept, sequence, collections };
  }
}
