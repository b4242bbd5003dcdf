import { confirm } from '@inquirer/prompts';
import { Flags, type Interfaces } from '@oclif/core';

import { createMoltenClient, type MoltenClient } from '../../src/client/client.ts';
import { variable } from '../../src/config/environment.ts';
import { CliCommand } from './cli-command.ts';
import { readClientCertificate } from './client-certificate.ts';
import { EXIT } from './exit-codes.ts';
import { usageError } from './input.ts';
import { openProfiles, type Profile, type Profiles } from './profiles.ts';
import { PROMPT } from './secrets.ts';

/** The profile when none is named. */
export const DEFAULT_PROFILE = 'default';

/** Where a server is when nothing says otherwise. */
const DEFAULT_URL = 'http://127.0.0.1:1538';

/** What every command that talks to a server takes. */
export const serverFlags: Interfaces.FlagInput = {
  profile: Flags.string({
    description: 'The profile to use, as made by `login`.',
    default: DEFAULT_PROFILE,
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

/** The base of all commands that talk to a server. */
export abstract class MoltenCommand extends CliCommand {
  static override readonly baseFlags: Interfaces.FlagInput = serverFlags;

  /** A secret on standard input must not be taken for an argument that is left out, and then shown. */
  protected override async init(): Promise<void> {
    await super.init();
    for (const arg of Object.values(this.ctor.args)) arg.ignoreStdin = true;
  }

  protected profiles(): Profiles {
    return openProfiles(this.config.configDir);
  }

  /** The server that flags, variables and the profile name, in this order. */
  protected serverUrl({ profile, url }: ServerFlags): string {
    const named = url ?? variable('MOLTEN_URL') ?? this.profiles().find(profile)?.url;
    return checkUrl(named ?? DEFAULT_URL);
  }

  /** The server, and the token for it. */
  protected target(flags: ServerFlags): Profile {
    const { profile: name } = flags;
    const profile = this.profiles().find(name);
    if (profile === undefined && name !== DEFAULT_PROFILE) {
      throw usageError(`there is no profile '${name}'; make it: molten login --profile ${name}`);
    }
    const url = this.serverUrl(flags);
    // What one server gave is nothing to show to another.
    const isItsOwn = profile !== undefined && originOf(profile.url) === originOf(url);
    const token = variable('MOLTEN_TOKEN') ?? (isItsOwn ? profile.token : undefined);
    return { url, ...(token === undefined ? {} : { token }) };
  }

  protected client(flags: ServerFlags): MoltenClient {
    return this.clientOf(this.target(flags));
  }

  /** Without a token: for who is not signed in yet. */
  protected clientOf({ url, token }: Pick<Profile, 'url' | 'token'>): MoltenClient {
    // Who looks at the list of sessions should know this one.
    const userAgent = `molten/${this.config.version}`;
    const clientCertificate = readClientCertificate();
    return createMoltenClient({ url, token: () => token, userAgent, clientCertificate });
  }

  /** Asks before what cannot be undone; `--yes` answers, and without a terminal nothing else does. */
  protected async demandConsent(message: string, isGiven: boolean): Promise<void> {
    if (isGiven) return;
    if (!process.stdin.isTTY) throw usageError('there is no terminal to ask; use --yes');
    if (!(await confirm({ message, default: false }, PROMPT))) {
      this.error('nothing was changed', { exit: EXIT.failure });
    }
  }
}

/** A server is reached by HTTP, with or without TLS. */
function checkUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && (url.username !== '' || url.password !== '')) {
    throw usageError('the URL of the server holds a user name or a password; use molten login');
  }
  if (url !== null && ['http:', 'https:'].includes(url.protocol)) return text;
  throw usageError(`the server is '${text}'; wants a URL such as ${DEFAULT_URL}`);
}

function originOf(url: string): string | undefined {
  return URL.parse(url)?.origin;
}
