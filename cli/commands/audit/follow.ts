import { setTimeout as wait } from 'node:timers/promises';

import { Flags, type Interfaces } from '@oclif/core';

import type { AuditRecord } from '../../../gen/molten/v1/audit_pb.ts';
import type { MoltenClient } from '../../../src/client/client.ts';
import { MoltenError } from '../../../src/client/molten-error.ts';
import { toAuditRow } from '../../lib/audit-records.ts';
import { wholeIn } from '../../lib/input.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { toText } from '../../lib/table.ts';

/** Failures after which the server is asked again, and how long to wait, in milliseconds. */
const PASSING = ['ENGINE_UNAVAILABLE', 'SHUTTING_DOWN', 'RECOVERING', 'CANCELED'];
const RETRY_MS = 1000;

/** Follows audit records. */
export default class AuditFollow extends MoltenCommand {
  static override readonly enableJsonFlag: boolean = false;
  static override readonly summary = 'Follow the audit log as it is written.';
  static override readonly description =
    'One JSON object a line, or, on a terminal, one record a line. A broken connection is resumed: every record comes once, in order. Ends with Ctrl-C, or after --count records. Needs a token with the scope `audit:*:*`.';
  static override readonly flags: Interfaces.FlagInput = {
    after: Flags.string({
      description: 'Begin after this number; 0: with the first. Otherwise with what comes next.',
    }),
    count: Flags.integer({ char: 'n', description: 'End after so many records.', min: 1 }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditFollow);
    const client = this.client(flags as unknown as ServerFlags);
    const { after, count = Infinity } = flags as {
      readonly after?: string;
      readonly count?: number;
    };
    let shown = 0;
    for await (const record of this.#records(
      client,
      after === undefined ? undefined : wholeIn(after, '--after'),
    )) {
      this.#show(record);
      shown += 1;
      if (shown >= count) return;
    }
  }

  /** Every record once, over as many connections as it takes. */
  async *#records(client: MoltenClient, after: bigint | undefined): AsyncGenerator<AuditRecord> {
    // Known from the start, so that nothing is missed between two connections.
    let afterNumber = after ?? (await newestNumber(client));
    while (true) {
      try {
        for await (const record of connect(client, afterNumber)) {
          afterNumber = record.number;
          yield record;
        }
      } catch (error) {
        if (!(error instanceof MoltenError) || !PASSING.includes(error.reason)) throw error;
        this.logToStderr(`connecting again: ${error.message}`);
      }
      await wait(RETRY_MS);
    }
  }

  #show(record: AuditRecord): void {
    const row = toAuditRow(record);
    if (!process.stdout.isTTY) {
      this.log(JSON.stringify(row));
      return;
    }
    const { number, time, actor = '-', action, resource = '', result, reason = '' } = row;
    const text = [number, time, actor, action, resource, result, reason].map(String).join(' ');
    this.log(toText(text).trimEnd());
  }
}

async function newestNumber({ audit }: MoltenClient): Promise<bigint> {
  const { records } = await audit.listAuditRecords({ pageSize: 1 });
  return records[0]?.number ?? 0n;
}

/** One connection; it is closed when nobody wants more of it. */
async function* connect(
  { audit }: MoltenClient,
  afterNumber: bigint,
): AsyncGenerator<AuditRecord, void> {
  const leaving = new AbortController();
  const { signal } = leaving;
  try {
    const stream = audit.streamAuditRecords({ afterNumber }, { timeoutMs: 0, signal });
    for await (const { record } of stream) if (record !== undefined) yield record;
  } finally {
    leaving.abort();
  }
}
