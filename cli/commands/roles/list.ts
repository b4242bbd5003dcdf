import { toRoleRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Lists roles. */
export default class RolesList extends MoltenCommand {
  static override readonly summary = 'List roles by name, those that are built in among them.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(RolesList);
    const { roles } = await this.client(flags as unknown as ServerFlags).users.listRoles({});
    const rows = roles.map(toRoleRow);
    this.printRows(rows, { whole: ['name'] });
    return { roles: rows };
  }
}
