import { Flags, type Interfaces } from '@oclif/core';

import { checkAuditFile } from '../../lib/audit-file.ts';
import { EXIT } from '../../lib/exit-codes.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

interface VerifyFlags {
  readonly from: number;
  readonly to: number;
  readonly file?: string;
}

/** Verifies the audit log, or a file of it. */
export default class AuditVerify extends MoltenCommand {
  static override readonly summary =
    'Verify the chain of the audit log and name the first broken record.';
  static override readonly description =
    'Ends with exit code 1 when it is broken. With --file a file of records is checked without a server: only that numbers follow one another and that each record names the hash of the one before, because the hashes themselves can be checked only with the secret of the server. Records from before a change of that secret do not verify; begin behind them with --from. Needs a token with the scope `audit:*:*`.';
  static override readonly flags: Interfaces.FlagInput = {
    from: Flags.integer({
      description: 'The first record. 0: the first that is kept.',
      default: 0,
      min: 0,
    }),
    to: Flags.integer({ description: 'The last record. 0: the newest.', default: 0, min: 0 }),
    file: Flags.string({
      description: 'A file of records, as --audit-file of the server writes it.',
      exclusive: ['from', 'to'],
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(AuditVerify);
    const wanted = flags as unknown as ServerFlags & VerifyFlags;
    return wanted.file === undefined
      ? await this.#askServer(wanted)
      : await this.#check(wanted.file);
  }

  async #askServer({ from, to, ...server }: ServerFlags & VerifyFlags): Promise<unknown> {
    const { audit } = this.client(server);
    const range = { fromNumber: BigInt(from), toNumber: BigInt(to) };
    const found = await audit.verifyAuditLog(range, { timeoutMs: 0 });
    const { sound, checkedCount, firstNumber, lastNumber, lastHash, fault } = found;
    const span = `records ${String(firstNumber)} to ${String(lastNumber)}`;
    if (fault === undefined) this.log(`the audit log is sound: ${span}, last hash ${lastHash}`);
    else this.#report(fault.message);
    return {
      ...{ sound, checked: Number(checkedCount), lastHash },
      ...{ first: Number(firstNumber), last: Number(lastNumber) },
      ...(fault === undefined
        ? {}
        : { fault: { number: Number(fault.number), message: fault.message } }),
    };
  }

  async #check(path: string): Promise<unknown> {
    const found = await checkAuditFile(path);
    const { first, last, fault } = found;
    const span = `records ${String(first)} to ${String(last)}`;
    if (fault === undefined) {
      this.log(`the links of the file are sound: ${span}; hashes are checked only by a server`);
    } else {
      this.#report(`line ${String(fault.line)}: ${fault.message}`);
    }
    return { sound: fault === undefined, ...found };
  }

  #report(message: string): void {
    this.logToStderr(`broken: ${message}`);
    process.exitCode = EXIT.failure;
  }
}
