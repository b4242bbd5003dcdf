import { Args, Flags, type Interfaces } from '@oclif/core';

import { toUserRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Links a user of an identity provider. */
export default class UsersLinkIdentity extends MoltenCommand {
  static override readonly summary = 'Say that a user of an identity provider is this user.';
  static override readonly examples: string[] = [
    '<%= config.bin %> users link-identity alice --provider oidc --issuer https://id.example.org --subject 4711',
  ];
  static override readonly args: Interfaces.ArgInput = {
    user: Args.string({ description: 'The name of the user here.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    provider: Flags.string({
      ...{ description: 'The provider.', options: ['oidc', 'ldap'], required: true },
    }),
    issuer: Flags.string({
      description: 'Its issuer: the address of --oidc-issuer, or of --ldap-url.',
      required: true,
    }),
    subject: Flags.string({ description: 'What the provider calls the user.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(UsersLinkIdentity);
    const { users } = this.client(flags as unknown as ServerFlags);
    const [provider, issuer] = [String(flags['provider']), String(flags['issuer'])];
    const identity = { provider, issuer, subject: String(flags['subject']) };
    const { user } = await users.linkIdentity({ user: String(args['user']), identity });
    this.log(`${identity.subject} of ${provider} is ${user?.name ?? ''}`);
    return user && toUserRow(user);
  }
}
