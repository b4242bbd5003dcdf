import { writeFileSync } from 'node:fs';

import { Args, type Interfaces } from '@oclif/core';

import { writeTemplate } from '../../../src/config/template.ts';
import { CliCommand } from '../../lib/cli-command.ts';

const PRIVATE_FILE = 0o600;

/** Writes a configuration file to start from. */
export default class ConfigInit extends CliCommand {
  static override readonly summary =
    'Write a configuration file with every option and its default.';
  static override readonly description =
    'Readable by its owner only. A file that is there is left as it is, and that is an error (exit code 2).';
  static override readonly args: Interfaces.ArgInput = {
    path: Args.string({ description: 'Where to write it.', default: 'molten.toml' }),
  };

  async run(): Promise<unknown> {
    const path = String((await this.parse(ConfigInit)).args['path']);
    writeFileSync(path, writeTemplate(), { flag: 'wx', mode: PRIVATE_FILE });
    this.log(
      `${path} is written; read it, change it, and try: molten config check --config ${path}`,
    );
    return { path };
  }
}
