import type { Interfaces } from '@oclif/core';

import { judgeConfig } from '../../../src/config/load.ts';
import { withVault } from '../../../src/config/vault.ts';
import { CliCommand } from '../../lib/cli-command.ts';
import { configFlags, readLine, sourcesOf } from '../../lib/config-flags.ts';
import { EXIT } from '../../lib/exit-codes.ts';

/** Says what is wrong with a configuration. */
export default class ConfigCheck extends CliCommand {
  static override readonly summary = 'Say everything that is wrong with a configuration.';
  static override readonly description =
    'Judges it as `molten serve` would, by flags, variables, .env and the file, and makes or opens nothing; secrets that are named in Vault are read there. Ends with exit code 2 when a server would not start with it.';
  static override readonly flags: Interfaces.FlagInput = configFlags;
  static override readonly examples: string[] = [
    '<%= config.bin %> config check --config molten.toml',
  ];

  async run(): Promise<unknown> {
    const line = await readLine(() => this.parse(ConfigCheck));
    const { faults, warnings } = judgeConfig(await withVault(sourcesOf(line)));
    for (const warning of warnings) this.logToStderr(`warning: ${warning}`);
    for (const { key, problem } of faults) this.logToStderr(`fault: ${key} ${problem}`);
    if (faults.length > 0) process.exitCode = EXIT.usage;
    else this.log('a server can start with this configuration');
    return { ok: faults.length === 0, faults, warnings };
  }
}
