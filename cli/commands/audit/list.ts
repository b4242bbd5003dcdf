import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Flags, type Interfaces } from '@oclif/core';

import { AuditResult, type AuditRecord } from '../../../gen/molten/v1/audit_pb.ts';
import { toAuditRow } from '../../lib/audit-records.ts';
import { momentIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

const PAGE_MAX = 1000;
const COLUMNS = ['number', 'time', 'actor', 'action', 'resource', 'result', 'reason', 'address'];
const RESULTS = {
  success: AuditResult.SUCCESS,
  denied: AuditResult.DENIED,
  failure: AuditResult.FAILURE,
} as const;

interface ListFlags {
  readonly from?: string;
  readonly to?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly result?: keyof typeof RESULTS;
  readonly resource?: string;
  readonly limit: number;
}

/** Lists audit records. */
export default class AuditList extends MoltenCommand {
  static override readonly summary = 'List records of the audit log, newest first.';
  static override readonly description = 'Needs a token with the scope `audit:*:*`.';
  static override readonly examples: string[] = [
    '<%= config.bin %> audit list --result denied --limit 20',
    `<%= config.bin %> audit list --action 'token.*' --from 2026-01-31T00:00:00Z`,
  ];
  static override readonly flags: Interfaces.FlagInput = {
    from: Flags.string({
      description: 'Written at or after this: Unix milliseconds, or RFC 3339.',
    }),
    to: Flags.string({ description: 'Written before this.' }),
    actor: Flags.string({ description: 'Of this user or client.' }),
    action: Flags.string({ description: 'With this action, or a prefix such as token.*' }),
    result: Flags.string({ description: 'That ended so.', options: Object.keys(RESULTS) }),
    resource: Flags.string({ description: 'Of this resource.' }),
    limit: Flags.integer({
      char: 'n',
      ...{ description: 'At most so many.', default: 100, min: 1 },
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(AuditList);
    const records = await this.#find(flags as unknown as ServerFlags & ListFlags);
    const rows = records.map(toAuditRow);
    this.printRows(rows, { columns: COLUMNS });
    return { records: rows };
  }

  async #find(flags: ServerFlags & ListFlags): Promise<readonly AuditRecord[]> {
    const client = this.client(flags);
    const { from, to, actor = '', action = '', result, resource = '', limit } = flags;
    const filter = {
      ...{ actor, action, resource },
      ...(result === undefined ? {} : { result: RESULTS[result] }),
      ...(from === undefined ? {} : { startTime: timestampFromMs(momentIn(from, '--from')) }),
      ...(to === undefined ? {} : { endTime: timestampFromMs(momentIn(to, '--to')) }),
    };
    const found: AuditRecord[] = [];
    for (let pageToken = ''; ;) {
      const pageSize = Math.min(limit - found.length, PAGE_MAX);
      const page = await client.audit.listAuditRecords({ ...filter, pageSize, pageToken });
      found.push(...page.records);
      pageToken = page.nextPageToken;
      if (pageToken === '' || found.length >= limit) return found;
    }
  }
}
