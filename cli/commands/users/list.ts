import { toUserRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { collectPages, PAGE_SIZE } from '../../lib/pages.ts';

const COLUMNS = ['name', 'state', 'roles', 'scopes', 'secondFactor', 'login', 'waitsUntil'];

/** Lists users. */
export default class UsersList extends MoltenCommand {
  static override readonly summary = 'List users by name.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(UsersList);
    const { users } = this.client(flags as unknown as ServerFlags);
    const found = await collectPages(async (pageToken) => {
      const page = await users.listUsers({ pageToken, pageSize: PAGE_SIZE });
      return { items: page.users, nextPageToken: page.nextPageToken };
    });
    const rows = found.map(toUserRow);
    this.printRows(rows, { columns: COLUMNS, whole: ['name'] });
    return { users: rows };
  }
}
