import { timestampDate } from '@bufbuild/protobuf/wkt';

import type { Snapshot } from '../../../gen/molten/v1/snapshots_pb.ts';
import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';

/** Lists snapshots. */
export default class SnapshotsList extends MoltenCommand {
  static override readonly summary = 'List the snapshots of the server, newest first.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SnapshotsList);
    const client = this.client(flags as unknown as ServerFlags);
    const found: Snapshot[] = [];
    for (let pageToken = ''; ;) {
      const page = await client.snapshots.listSnapshots({ pageSize: 1000, pageToken });
      found.push(...page.snapshots);
      for (const name of page.damagedSnapshots) this.logToStderr(`damaged: ${name}`);
      if (page.nextPageToken === '') break;
      pageToken = page.nextPageToken;
    }
    const rows = found.map(({ name, sequence, createTime, documentCount, sizeBytes, hook }) => ({
      ...{ name, sequence: Number(sequence), documents: Number(documentCount) },
      ...{ bytes: Number(sizeBytes), taken: createTime && timestampDate(createTime).toISOString() },
      ...(hook === undefined ? {} : { hook: hook.exitCode ?? 'failed' }),
    }));
    this.printRows(rows);
    return { snapshots: rows };
  }
}
