import { Flags, type Interfaces } from '@oclif/core';

import { AlertSeverity, type Alert } from '../../gen/molten/v1/admin_pb.ts';
import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';
import type { Row } from '../lib/table.ts';
import { isoOf } from '../lib/times.ts';

const COLUMNS = ['severity', 'rule', 'since', 'until', 'message'];

/** Lists alerts. */
export default class Alerts extends MoltenCommand {
  static override readonly summary = 'List what is wrong with the server.';
  static override readonly description = 'Needs a token with the scope `system:*:*`.';
  static override readonly examples: string[] = ['<%= config.bin %> alerts --all'];
  static override readonly flags: Interfaces.FlagInput = {
    all: Flags.boolean({ description: 'Also the last 100 that are over.', default: false }),
  };

  async run(): Promise<unknown> {
    const flags = (await this.parse(Alerts)).flags as unknown as ServerFlags & { all: boolean };
    const { alerts } = await this.client(flags).admin.listAlerts({});
    const shown = alerts.filter(({ clearTime }) => flags.all || clearTime === undefined);
    const rows = shown.map(toRow);
    this.printRows(rows, { columns: COLUMNS });
    return { alerts: rows };
  }
}

function toRow({ rule, severity, message, raiseTime, clearTime }: Alert): Row {
  return {
    severity: severity === AlertSeverity.CRITICAL ? 'critical' : 'warning',
    ...{ rule, since: isoOf(raiseTime), message },
    ...(clearTime === undefined ? {} : { until: isoOf(clearTime) }),
  };
}
