import { toSigningKeyRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

const COLUMNS = ['key', 'algorithm', 'created', 'expires'];

/** Lists the keys that tokens are signed with. */
export default class KeysList extends MoltenCommand {
  static override readonly summary = 'List the keys whose signatures on tokens are taken.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(KeysList);
    const { keys } = await this.client(flags as unknown as ServerFlags).tokens.listSigningKeys({});
    const rows = keys.map(toSigningKeyRow);
    this.printRows(rows, { columns: COLUMNS, whole: ['key'] });
    return { keys: rows };
  }
}
