import { toSessionRow } from '../../lib/access-rows.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Lists the caller's sessions. */
export default class SessionsList extends MoltenCommand {
  static override readonly summary = 'List where you are signed in, newest first.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SessionsList);
    const { sessions } = await this.client(flags as unknown as ServerFlags).auth.listSessions({});
    const rows = sessions.map(toSessionRow);
    this.printRows(rows, { whole: ['session'] });
    return { sessions: rows };
  }
}
