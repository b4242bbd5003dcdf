import { Args, type Interfaces } from '@oclif/core';

import { toApiKeyRow } from '../../lib/access-rows.ts';
import { apiKeyIdIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Shows an API key. */
export default class ApiKeysGet extends MoltenCommand {
  static override readonly summary = 'Show an API key, without its text.';
  static override readonly args: Interfaces.ArgInput = {
    key: Args.string({ description: 'The id of the key.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(ApiKeysGet);
    const { apiKeys } = this.client(flags as unknown as ServerFlags);
    const { apiKey } = await apiKeys.getApiKey({ apiKey: apiKeyIdIn(args['key']) });
    const row = apiKey === undefined ? {} : toApiKeyRow(apiKey);
    this.printFields(row);
    return row;
  }
}
