import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Revokes a token. */
export default class TokensRevoke extends MoltenCommand {
  static override readonly summary = 'Revoke a token by its id, at once and everywhere.';
  static override readonly args: Interfaces.ArgInput = {
    token: Args.string({ description: 'The id of the token (jti).', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(TokensRevoke);
    const tokenId = String(args['token']);
    await this.client(flags as unknown as ServerFlags).auth.revokeToken({ tokenId });
    this.log(`${tokenId} revoked`);
    return { tokenId };
  }
}
