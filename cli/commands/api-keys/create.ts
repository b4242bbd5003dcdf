import { Args, Flags, type Interfaces } from '@oclif/core';

import { toApiKeyRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { durationOf, isoOf } from '../../lib/times.ts';
import { textsOf } from '../../lib/user-flags.ts';

/** Makes an API key. */
export default class ApiKeysCreate extends MoltenCommand {
  static override readonly summary = 'Make an API key: the credential of a service.';
  static override readonly description =
    'Its text goes to standard output alone, once; the store keeps a hash of it. It may do what it is given, and no more than its owner may do now.';
  static override readonly examples: string[] = [
    `<%= config.bin %> api-keys create 'nightly report' --scope read:orders:* > ./api-key`,
  ];
  static override readonly args: Interfaces.ArgInput = {
    description: Args.string({ description: 'What it is for.', required: true }),
  };
  static override readonly flags: Interfaces.FlagInput = {
    scope: Flags.string({
      description: 'A scope, action:collection:key. May be given several times.',
      ...{ multiple: true, required: true },
    }),
    ttl: Flags.integer({ description: 'Seconds that it lives. Absent: for ever.', min: 1 }),
    environment: Flags.string({
      description: 'Stands in its text: mk_live_… or mk_test_…',
      ...{ options: ['live', 'test'], default: 'live' },
    }),
    owner: Flags.string({
      description: 'The user it belongs to, with the scope `keys:*:*`. Absent: you.',
      default: '',
    }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(ApiKeysCreate);
    const { apiKeys } = this.client(flags as unknown as ServerFlags);
    const ttl = durationOf(flags['ttl']);
    const { apiKey, text } = await apiKeys.createApiKey({
      ...{ description: String(args['description']), scopes: textsOf(flags['scope']) },
      ...{ environment: String(flags['environment']), owner: String(flags['owner']) },
      ...(ttl && { ttl }),
    });
    this.log(text);
    const { apiKeyId = '', owner = '', expireTime } = apiKey ?? {};
    const end = expireTime === undefined ? '' : `, until ${isoOf(expireTime) ?? ''}`;
    this.logToStderr(`API key ${apiKeyId} of ${owner}${end}; it is not shown again`);
    return { ...(apiKey && toApiKeyRow(apiKey)), text };
  }
}
