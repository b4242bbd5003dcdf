import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { toQueryLimitRows } from '../../lib/query-limit-rows.ts';

/** Shows how much one query may do. */
export default class QueryLimitsGet extends MoltenCommand {
  static override readonly summary = 'Show how much one query may do, and what the most could be.';
  static override readonly description = 'Needs a token with the scope `system:*:*`.';
  static override readonly examples: string[] = ['<%= config.bin %> query-limits get'];

  async run(): Promise<unknown> {
    const flags = (await this.parse(QueryLimitsGet)).flags as unknown as ServerFlags;
    const rows = toQueryLimitRows(await this.client(flags).admin.getQueryLimits({}));
    this.printRows(rows);
    return rows;
  }
}
