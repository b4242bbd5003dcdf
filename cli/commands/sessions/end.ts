import { Args, type Interfaces } from '@oclif/core';

import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Ends one of the caller's sessions. */
export default class SessionsEnd extends MoltenCommand {
  static override readonly summary = 'End one of your sessions at once.';
  static override readonly description =
    'What was delegated with it goes on. Sessions of others are ended by molten tokens revoke --session.';
  static override readonly args: Interfaces.ArgInput = {
    session: Args.string({ description: 'The id of the session.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(SessionsEnd);
    const { auth } = this.client(flags as unknown as ServerFlags);
    const { sessionId } = await auth.endSession({ sessionId: String(args['session']) });
    this.log(`${sessionId} has ended`);
    return { sessionId };
  }
}
