import { confirm } from '@inquirer/prompts';
import { Command, Flags, type Interfaces } from '@oclif/core';

import { createMoltenClient, type MoltenClient } from '../../src/client/client.ts';
import { MoltenError } from '../../src/client/molten-error.ts';
import { environment } from '../../src/config/environment.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { usageError } from './input.ts';
import { openProfiles, type Profile, type Profiles } from './profiles.ts';
import { PROMPT } from './secrets.ts';
import { formatFields, formatTable, type Row, type TableShape } from './table.ts';

/** Where a server is when nothing says otherwise. */
export const DEFAULT_URL = 'http://127.0.0.1:1538';

/** What every command that talks to a server takes. */
export const serverFlags: Interfaces.FlagInput = {
  profile: Flags.string({
    description: 'The profile to use, as made by `login`.',
    default: 'default',
    helpGroup: 'GLOBAL',
  }),
  url: Flags.string({
    description: 'The server. [variable: MOLTEN_URL]',
    helpGroup: 'GLOBAL',
  }),
};

/** What the flags of every such command are. */
export interface ServerFlags {
  readonly profile: string;
  readonly url?: string | undefined;
}

/**
 * The base of all commands that talk to a server. What a command returns is its `--json`; what it prints
 * otherwise is for people. Answers go to standard output, everything else to standard error.
 */
export abstract class MoltenCommand extends Command {
  static override readonly enableJsonFlag: boolean = true;
  static override readonly baseFlags: Interfaces.FlagInput = serverFlags;

  /** A secret on standard input must not be taken for an argument that is left out, and then shown. */
  protected override async init(): Promise<void> {
    await super.init();
    for (const arg of Object.values(this.ctor.args)) arg.ignoreStdin = true;
  }

  protected profiles(): Profiles {
    return openProfiles(this.config.configDir);
  }

  /** The server and the token that flags, variables and the profile name, in this order. */
  protected target({ profile: name, url }: ServerFlags): Profile {
    const profile = this.profiles().find(name);
    const variables = environment();
    const token = variables['MOLTEN_TOKEN'] ?? profile?.token;
    return {
      url: checkUrl(url ?? variables['MOLTEN_URL'] ?? profile?.url ?? DEFAULT_URL),
      ...(token === undefined ? {} : { token }),
    };
  }

  protected client(flags: ServerFlags): MoltenClient {
    const { url, token } = this.target(flags);
    return createMoltenClient({ url, token: () => token });
  }

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

  /** Asks before what cannot be undone; `--yes` answers, and without a terminal nothing else does. */
  protected async demandConsent(message: string, isGiven: boolean): Promise<void> {
    if (isGiven) return;
    if (!process.stdin.isTTY) throw usageError('there is no terminal to ask; use --yes');
    if (!(await confirm({ message, default: false }, PROMPT))) {
      this.error('nothing was changed', { exit: EXIT.failure });
    }
  }

  protected override async catch(error: Interfaces.CommandError): Promise<void> {
    if (!(error instanceof MoltenError)) {
      await super.catch(error);
      return;
    }
    process.exitCode = exitCodeOf(error.reason);
    if (this.jsonEnabled()) this.logJson({ error: this.toErrorJson(error) });
    else this.logToStderr(this.#explain(error));
  }

  protected override toErrorJson(error: unknown): unknown {
    if (!(error instanceof MoltenError)) return { message: String(error), exitCode: EXIT.failure };
    const { reason, message, metadata, violations } = error;
    return { reason, message, metadata, violations };
  }

  #explain({ reason, message }: MoltenError): string {
    return `error: ${message} (${reason})${hintOf(reason, message)}`;
  }
}

/** A server is reached by HTTP, with or without TLS. */
function checkUrl(text: string): string {
  const hint = `wants a URL such as ${DEFAULT_URL}`;
  if (!/^https?:\/\//.test(text)) throw usageError(`the server is '${text}'; ${hint}`);
  if (!URL.canParse(text)) throw usageError(`the server is '${text}', which is no URL; ${hint}`);
  return text;
}

function hintOf(reason: string, message: string): string {
  if (reason === 'CREDENTIAL_MISSING' || reason === 'CREDENTIAL_EXPIRED') {
    return '\ntry: molten login';
  }
  const isUnreachable = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH/.test(message);
  return isUnreachable ? '\ntry: start the server, or name another with --url' : '';
}
