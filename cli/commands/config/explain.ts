import type { Interfaces } from '@oclif/core';

import { explainConfig } from '../../../src/config/explain.ts';
import { withVault } from '../../../src/config/vault.ts';
import { CliCommand } from '../../lib/cli-command.ts';
import { configFlags, readLine, sourcesOf } from '../../lib/config-flags.ts';
import { EXIT } from '../../lib/exit-codes.ts';
import { formatTable } from '../../lib/table.ts';

/** Shows what each option is and where that comes from. */
export default class ConfigExplain extends CliCommand {
  static override readonly summary = 'Show what each option is, and where that comes from.';
  static override readonly description =
    'Secrets show as stars, and so does what may hold one, such as an address with a password. Ends with exit code 2 when a source cannot be used; what the others say is shown all the same.';
  static override readonly flags: Interfaces.FlagInput = configFlags;
  static override readonly examples: string[] = [
    '<%= config.bin %> config explain --config molten.toml',
  ];

  async run(): Promise<unknown> {
    const line = await readLine(() => this.parse(ConfigExplain));
    const { options, faults } = explainConfig(await withVault(sourcesOf(line)));
    this.log(
      formatTable(
        options.map((option) => ({ ...option })),
        { whole: ['value', 'origin'] },
      ),
    );
    for (const { key, problem } of faults) this.logToStderr(`fault: ${key} ${problem}`);
    if (faults.length > 0) process.exitCode = EXIT.usage;
    return { options, faults };
  }
}
