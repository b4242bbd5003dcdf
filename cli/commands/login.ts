import { Args, Flags, type Interfaces } from '@oclif/core';

import { createMoltenClient } from '../../src/client/client.ts';
import { readPassword } from '../lib/input.ts';
import { MoltenCommand } from '../lib/molten-command.ts';

/** Signs in and keeps the token in a profile. */
export default class Login extends MoltenCommand {
  static override readonly summary = 'Sign in to a server and remember it.';
  static override readonly args: Interfaces.ArgInput = {
    server: Args.string({ description: 'The server, such as http://127.0.0.1:1538.' }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    username: Flags.string({ description: 'The user.', default: 'root' }),
    'password-file': Flags.string({
      description: 'A file with the password. Otherwise MOLTEN_PASSWORD, or a prompt.',
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Login);
    const server = args['server'] as string | undefined;
    const name = String(flags['profile']);
    const { url } = this.target({
      profile: name,
      url: server ?? (flags['url'] as string | undefined),
    });
    const username = String(flags['username']);
    const password = await readPassword(flags['password-file'] as string | undefined);
    const client = createMoltenClient({ url });
    const { token, principal } = await client.auth.login({ username, password });
    this.profiles().save(name, { url, token, username });
    this.log(`signed in to ${url} as ${principal?.subject ?? username} (profile ${name})`);
    return { url, profile: name, subject: principal?.subject, scopes: principal?.scopes };
  }
}
