import { Flags, type Interfaces } from '@oclif/core';

import { variable } from '../../src/config/environment.ts';
import { CliCommand } from './cli-command.ts';
import { readSecretFile } from './input.ts';

const KEY_VARIABLE = 'MOLTENDB_ENCRYPTION_KEY';
const KEY_FILE_VARIABLE = 'MOLTENDB_ENCRYPTION_KEY_FILE';

/** What commands that open a store themselves take. */
export const storeFlags: Interfaces.FlagInput = {
  'db-path': Flags.string({
    description: 'The directory of the store. [variable: MOLTENDB_DB_PATH]',
    default: './data',
    env: 'MOLTENDB_DB_PATH',
    aliases: ['log'],
  }),
  'encryption-key-file': Flags.string({
    description: `A file with the encryption key. Otherwise ${KEY_VARIABLE} or ${KEY_FILE_VARIABLE}.`,
  }),
  'encryption-key': Flags.string({
    description: 'The encryption key itself; others on this machine can read it from here.',
    exclusive: ['encryption-key-file'],
  }),
};

/** The base of commands that open a store that no server has open. */
export abstract class OfflineCommand extends CliCommand {
  static override readonly baseFlags: Interfaces.FlagInput = storeFlags;

  /** The encryption key that flags, files and variables name. */
  protected password(flags: Readonly<Record<string, unknown>>): string | undefined {
    const { 'encryption-key': given, 'encryption-key-file': file } = flags;
    if (typeof given === 'string') return given;
    if (typeof file === 'string') return readSecretFile(file);
    const path = variable(KEY_FILE_VARIABLE);
    return variable(KEY_VARIABLE) ?? (path === undefined ? undefined : readSecretFile(path));
  }
}
