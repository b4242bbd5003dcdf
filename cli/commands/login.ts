import { Args, Flags, type Interfaces } from '@oclif/core';

import type { MoltenClient } from '../../src/client/client.ts';
import { usageError } from '../lib/input.ts';
import { MoltenCommand } from '../lib/molten-command.ts';
import { codeFlags, passwordFlags, readPassword, type AnyFlags } from '../lib/secrets.ts';
import { finishSignIn, providerFor, signOnDevice, type FirstStep } from '../lib/sign-in.ts';
import { durationOf, isoOf } from '../lib/times.ts';

const HALF_A_DAY_S = 43_200;
const DAY_S = 86_400;

/** Signs in and keeps the token in a profile. */
export default class Login extends MoltenCommand {
  static override readonly summary = 'Sign in to a server and remember it.';
  static override readonly description =
    'With the password of the user, which is asked for unless a flag or MOLTEN_PASSWORD gives it, or with --sso through an identity provider, in a browser on any device. Who has a second factor is asked for a code.';
  static override readonly examples: string[] = [
    '<%= config.bin %> login http://127.0.0.1:1538 --username alice',
    '<%= config.bin %> login --sso',
    '<%= config.bin %> login --password-file ./password --code-stdin',
  ];
  static override readonly args: Interfaces.ArgInput = {
    server: Args.string({ description: 'The server, such as http://127.0.0.1:1538.' }),
    provider: Args.string({
      description: 'With --sso, the identity provider. Otherwise the only one there is.',
    }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    username: Flags.string({ description: 'The user.', default: 'root' }),
    ...{ ...passwordFlags, ...codeFlags },
    sso: Flags.boolean({
      description: 'Sign in through an identity provider: shows an address and a code.',
    }),
    ttl: Flags.integer({
      description: 'Seconds that the token lives, at most 86400.',
      ...{ default: HALF_A_DAY_S, min: 1, max: DAY_S },
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Login);
    const { server, provider } = placesOf(args, flags['sso'] === true);
    const name = String(flags['profile']);
    const given = server ?? (flags['url'] as string | undefined);
    const url = this.serverUrl({ profile: name, url: given });
    const client = this.clientOf({ url });
    const first =
      flags['sso'] === true
        ? await this.#signOn(client, provider, flags)
        : await signInByPassword(client, flags);
    const { token, principal } = await finishSignIn(client, first, flags);
    const user = principal?.subject ?? String(flags['username']);
    this.profiles().save(name, { url, token, username: user });
    this.log(`signed in to ${url} as ${user} (profile ${name})`);
    const secondFactorRequired = principal?.secondFactorRequired === true;
    if (secondFactorRequired) {
      this.logToStderr(
        'a second factor is needed before anything else: molten second-factor enrol',
      );
    }
    const expires = isoOf(principal?.expireTime);
    const { subject, scopes } = principal ?? {};
    return { url, profile: name, subject, scopes, expires, secondFactorRequired };
  }

  async #signOn(
    client: MoltenClient,
    named: string | undefined,
    { ttl }: AnyFlags,
  ): Promise<FirstStep> {
    const provider = await providerFor(client, named);
    // Also with --json: without it nobody could sign in.
    const show = (text: string): void => void process.stderr.write(text);
    return await signOnDevice(client, provider, { ttl, show });
  }
}

async function signInByPassword({ auth }: MoltenClient, flags: AnyFlags): Promise<FirstStep> {
  const ttl = durationOf(flags['ttl']);
  const password = await readPassword(flags);
  return await auth.login({ username: String(flags['username']), password, ...(ttl && { ttl }) });
}

interface Places {
  readonly server: string | undefined;
  readonly provider: string | undefined;
}

/** With `--sso` a word that is no address is the provider. */
function placesOf(args: Readonly<Record<string, unknown>>, isSso: boolean): Places {
  const [first, second] = [args['server'], args['provider']] as (string | undefined)[];
  const isProvider = isSso && first !== undefined && !first.includes('://');
  const places = isProvider
    ? { server: second, provider: first }
    : { server: first, provider: second };
  if (places.provider !== undefined && !isSso) throw usageError('a provider needs --sso');
  return places;
}
