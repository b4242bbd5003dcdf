import { Flags, type Interfaces } from '@oclif/core';

import { usageError } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { toQueryLimitRows } from '../../lib/query-limit-rows.ts';

/** Changes how much one query may do. */
export default class QueryLimitsSet extends MoltenCommand {
  static override readonly summary = 'Change how much one query may do; what is not given stays.';
  static override readonly description =
    'Holds for all queries that begin from then on, also after a restart. 0 goes back to what the configuration allows. Needs a token with the scope `system:*:*`.';
  static override readonly flags: Interfaces.FlagInput = {
    rows: Flags.integer({ description: 'Documents on a page.', min: 0 }),
    time: Flags.integer({ description: 'How long it runs, in milliseconds.', min: 0 }),
    scan: Flags.integer({ description: 'Documents that it looks at.', min: 0 }),
    memory: Flags.integer({ description: 'Bytes that it holds to sort, about.', min: 0 }),
  };
  static override readonly examples: string[] = [
    '<%= config.bin %> query-limits set --time 2000 --scan 100000',
    '<%= config.bin %> query-limits set --time 0',
  ];

  async run(): Promise<unknown> {
    const { flags } = await this.parse(QueryLimitsSet);
    const { rows, time, scan, memory } = flags as Readonly<Record<string, number | undefined>>;
    const change = {
      ...(rows === undefined ? {} : { rowsMax: rows }),
      ...(time === undefined ? {} : { timeMsMax: time }),
      ...(scan === undefined ? {} : { examinedMax: BigInt(scan) }),
      ...(memory === undefined ? {} : { memoryBytesMax: BigInt(memory) }),
    };
    if (Object.keys(change).length === 0) throw usageError('say what to change; see --help');
    const { admin } = this.client(flags as unknown as ServerFlags);
    const shown = toQueryLimitRows(await admin.updateQueryLimits(change));
    this.printRows(shown);
    return shown;
  }
}
