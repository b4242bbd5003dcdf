import { Args, type Interfaces } from '@oclif/core';

import { activate } from '../../src/server/recovery.ts';
import { OfflineCommand } from '../lib/offline-command.ts';

/** Makes a recovered store live. */
export default class Activate extends OfflineCommand {
  static override readonly summary =
    'Put a recovered store in the place of the one that is served.';
  static override readonly description =
    'The server must be stopped. The old store is kept beside it, under a name with the time; snapshots and development secrets stay where the server looks for them.';
  static override readonly args: Interfaces.ArgInput = {
    recovered: Args.string({ description: 'The recovered directory.', required: true }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Activate);
    const live = String(flags['db-path']);
    const kept = activate(String(args['recovered']), live);
    this.log(`${live} is recovered${kept === undefined ? '' : `; what was there is in ${kept}`}`);
    return { live, kept };
  }
}
