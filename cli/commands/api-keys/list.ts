import { Flags, type Interfaces } from '@oclif/core';

import { toApiKeyRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { collectPages, PAGE_SIZE } from '../../lib/pages.ts';

const COLUMNS = ['key', 'environment', 'owner', 'description', 'scopes', 'expires', 'used'];

/** Lists API keys. */
export default class ApiKeysList extends MoltenCommand {
  static override readonly summary = 'List your API keys; with the scope `keys:*:*` all.';
  static override readonly flags: Interfaces.FlagInput = {
    owner: Flags.string({ description: 'Only those of this user.', default: '' }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(ApiKeysList);
    const { apiKeys } = this.client(flags as unknown as ServerFlags);
    const owner = String(flags['owner']);
    const found = await collectPages(async (pageToken) => {
      const page = await apiKeys.listApiKeys({ owner, pageToken, pageSize: PAGE_SIZE });
      return { items: page.apiKeys, nextPageToken: page.nextPageToken };
    });
    const rows = found.map(toApiKeyRow);
    this.printRows(rows, { columns: COLUMNS, whole: ['key'] });
    return { apiKeys: rows };
  }
}
