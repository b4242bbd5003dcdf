import { Command, Flags, type Interfaces } from '@oclif/core';

import { environment } from '../../src/config/environment.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { readSecretFile, usageError } from './input.ts';
import type { Reason } from '../../src/client/molten-error.ts';

/** What commands that open a store themselves take. */
export const storeFlags: Interfaces.FlagInput = {
  'db-path': Flags.string({
    description: 'The directory of the store. [variable: MOLTENDB_DB_PATH]',
    default: './data',
    env: 'MOLTENDB_DB_PATH',
    aliases: ['log'],
  }),
  'encryption-key-file': Flags.string({
    description: 'A file with the encryption key. Otherwise MOLTENDB_ENCRYPTION_KEY.',
  }),
  'encryption-key': Flags.string({
    description: 'The encryption key itself; others on this machine can read it from here.',
    exclusive: ['encryption-key-file'],
  }),
};

/**
 * The base of commands that open a store that no server has open. What a command returns is its `--json`;
 * what it prints otherwise is for people.
 */
export abstract class OfflineCommand extends Command {
  static override readonly enableJsonFlag: boolean = true;
  static override readonly baseFlags: Interfaces.FlagInput = storeFlags;

  /** The encryption key that flags, files and variables name. */
  protected password(flags: Readonly<Record<string, unknown>>): string | undefined {
    const { 'encryption-key': given, 'encryption-key-file': file } = flags;
    if (typeof given === 'string') return given;
    if (typeof file === 'string') return readSecretFile(file);
    return environment()['MOLTENDB_ENCRYPTION_KEY'];
  }

  /** Failures with a reason end with its exit code; all others are told as they are. */
  protected override async catch(error: Interfaces.CommandError): Promise<void> {
    const reason = 'reason' in error ? (error.reason as Reason) : undefined;
    if (reason === undefined) {
      await super.catch(error);
      return;
    }
    process.exitCode = exitCodeOf(reason);
    if (this.jsonEnabled()) this.logJson({ error: { reason, message: error.message } });
    else this.logToStderr(`error: ${error.message} (${reason})`);
  }

  protected override toErrorJson(error: unknown): unknown {
    return { message: String(error), exitCode: EXIT.failure };
  }
}

/** A sequence in a flag. */
export function sequenceIn(text: string, name: string): number {
  const value = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
  throw usageError(`${name} is '${text}'; wants a sequence, a whole number`);
}

/** A moment in a flag: Unix milliseconds, or RFC 3339. */
export function momentIn(text: string, name: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isFinite(value)) return value;
  throw usageError(
    `${name} is '${text}'; wants Unix milliseconds, or a time such as 2026-01-31T23:59:59Z`,
  );
}
