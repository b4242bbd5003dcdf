import { timestampDate, type Timestamp } from '@bufbuild/protobuf/wkt';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

const PAGE_MAX = 1000;

/** Lists banned addresses. */
export default class BansList extends MoltenCommand {
  static override readonly summary = 'List addresses that are banned, the newest bans first.';
  static override readonly description =
    'They went on although they were refused. At most 1,000 are shown. Needs a token with the scope `system:*:*`.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(BansList);
    const { admin } = this.client(flags as unknown as ServerFlags);
    const { bans, banCount } = await admin.listBans({ pageSize: PAGE_MAX });
    const rows = bans.map(({ address, beginTime, endTime, count }) => ({
      ...{ address, since: textOf(beginTime), until: textOf(endTime), count: String(count) },
    }));
    this.printRows(rows, { columns: ['address', 'since', 'until', 'count'], whole: ['address'] });
    return { bans: rows, count: banCount };
  }
}

function textOf(time: Timestamp | undefined): string {
  return time === undefined ? '' : timestampDate(time).toISOString();
}
