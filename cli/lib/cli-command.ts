import { Command, type Interfaces } from '@oclif/core';

import type { MoltenError, Reason } from '../../src/client/molten-error.ts';
import { EXIT, exitCodeOf, isReason } from './exit-codes.ts';
import { usageError } from './input.ts';
import { formatFields, formatTable, type Row, type TableShape } from './table.ts';

/**
 * The base of commands: what one returns is its `--json`, what it prints otherwise is for people. Answers
 * go to standard output, everything else to standard error; a failure ends with the code that
 * `docs/reference/cli.md` has for it.
 */
export abstract class CliCommand extends Command {
  static override readonly enableJsonFlag: boolean = true;

  /** Prints rows as a table, or one JSON document a line when standard output is no terminal. */
  protected printRows(rows: readonly Row[], shape?: TableShape): void {
    if (rows.length === 0) {
      this.logToStderr('nothing found');
      return;
    }
    if (process.stdout.isTTY) this.log(formatTable(rows, shape));
    else for (const row of rows) this.log(JSON.stringify(row));
  }

  /** Prints what is known of one thing, a name and its value a line. */
  protected printFields(fields: Row): void {
    this.log(formatFields(fields));
  }

  protected override async catch(thrown: Interfaces.CommandError): Promise<void> {
    const error = fileProblemOf(thrown) ?? thrown;
    process.exitCode = codeOf(error);
    if (this.jsonEnabled() || !hasReason(error)) {
      await super.catch(error);
      return;
    }
    const { reason, message } = error;
    this.logToStderr(`error: ${message} (${reason})${hintOf(reason, message)}`);
  }

  protected override toErrorJson(error: Interfaces.CommandError): unknown {
    const { message } = error;
    const exitCode = codeOf(error);
    if (!hasReason(error)) return { error: { message, exitCode } };
    const { reason, metadata, violations } = error;
    return { error: { reason, message, exitCode, metadata, violations } };
  }
}

/** A failure of a call, or of what a command does with a store itself. */
type ReasonedError = Error & { readonly reason: Reason } & Partial<MoltenError>;

function hasReason(error: Error): error is ReasonedError {
  return 'reason' in error && isReason(error.reason);
}

function codeOf(error: Interfaces.CommandError): number {
  return hasReason(error) ? exitCodeOf(error.reason) : (error.oclif?.exit ?? EXIT.failure);
}

/** What is wrong with a path, by the code of the operating system. */
const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file, or no directory for it',
  EEXIST: 'it is there already; name another, or move it away',
  EISDIR: 'it is a directory',
  ENOTDIR: 'it leads through a file',
  EACCES: 'this user may not do that',
  EPERM: 'this user may not do that',
  EROFS: 'its disk takes no writes',
};

/** A path on the command line that cannot be used as asked. */
function fileProblemOf(error: NodeJS.ErrnoException): Error | undefined {
  const problem = FILE_PROBLEMS[error.code ?? ''];
  if (problem === undefined || error.syscall === undefined) return undefined;
  const what = error.path === undefined ? 'a file' : `'${error.path}'`;
  return usageError(`${what} cannot be used: ${problem}`);
}

function hintOf(reason: Reason, message: string): string {
  if (reason === 'CREDENTIAL_MISSING' || reason === 'CREDENTIAL_EXPIRED') {
    return '\ntry: molten login';
  }
  const isUnreachable = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH/.test(message);
  return isUnreachable ? '\ntry: start the server, or name another with --url' : '';
}
