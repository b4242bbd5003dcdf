import { Args, Flags, type Interfaces } from '@oclif/core';

import { toApiKeyRow } from '../../lib/access-rows.ts';
import { apiKeyIdIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { durationOf } from '../../lib/times.ts';

const OVERLAP_MAX_S = 31_622_400;

/** Puts a key in the place of another. */
export default class ApiKeysRotate extends MoltenCommand {
  static override readonly summary = 'Make an API key in the place of another, which then ends.';
  static override readonly description =
    'The text of the new one goes to standard output alone, once.';
  static override readonly args: Interfaces.ArgInput = {
    key: Args.string({ description: 'The id of the old key.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    overlap: Flags.integer({
      description: 'Seconds that the old one is still taken. Absent: 24 hours.',
      ...{ min: 0, max: OVERLAP_MAX_S },
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(ApiKeysRotate);
    const { apiKeys } = this.client(flags as unknown as ServerFlags);
    const [old, overlap] = [apiKeyIdIn(args['key']), durationOf(flags['overlap'])];
    const { apiKey, text } = await apiKeys.rotateApiKey({
      ...{ apiKey: old, ...(overlap && { overlap }) },
    });
    this.log(text);
    this.logToStderr(`API key ${apiKey?.apiKeyId ?? ''} in the place of ${old}`);
    return { ...(apiKey && toApiKeyRow(apiKey)), text };
  }
}
