import { Flags, type Interfaces } from '@oclif/core';

import { toTokenRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { listTokens } from '../../lib/tokens.ts';

const COLUMNS = ['token', 'client', 'user', 'scopes', 'expires', 'revoked'];

/** Lists delegated tokens. */
export default class TokensList extends MoltenCommand {
  static override readonly summary = 'List delegated tokens, those they came from first.';
  static override readonly description =
    'Those that you have delegated; with the scope `tokens:*:*` all. The tokens themselves are shown by nobody.';
  static override readonly flags: Interfaces.FlagInput = {
    below: Flags.string({ description: 'Only this token or API key, by id, and what is below.' }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(TokensList);
    const client = this.client(flags as unknown as ServerFlags);
    const rows = (await listTokens(client, flags['below'] as string | undefined)).map(toTokenRow);
    this.printRows(rows, { columns: COLUMNS, whole: ['token'] });
    return { tokens: rows };
  }
}
