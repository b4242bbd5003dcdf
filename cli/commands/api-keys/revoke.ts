import { Args, type Interfaces } from '@oclif/core';

import { apiKeyIdIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Ends an API key. */
export default class ApiKeysRevoke extends MoltenCommand {
  static override readonly summary = 'End an API key and all that was delegated with it, at once.';
  static override readonly args: Interfaces.ArgInput = {
    key: Args.string({ description: 'The id of the key.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(ApiKeysRevoke);
    const { apiKeys } = this.client(flags as unknown as ServerFlags);
    const { apiKey: key } = await apiKeys.revokeApiKey({ apiKey: apiKeyIdIn(args['key']) });
    this.log(`${key} revoked`);
    return { key };
  }
}
