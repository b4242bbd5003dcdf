import { MoltenCommand, type ServerFlags } from '../../lib/molten-command.ts';
import { collectPages, PAGE_SIZE } from '../../lib/pages.ts';
import { isoOf } from '../../lib/times.ts';

/** Lists snapshots. */
export default class SnapshotsList extends MoltenCommand {
  static override readonly summary = 'List the snapshots of the server, newest first.';

  async run(): Promise<unknown> {
    const { flags } = await this.parse(SnapshotsList);
    const client = this.client(flags as unknown as ServerFlags);
    const found = await collectPages(async (pageToken) => {
      const page = await client.snapshots.listSnapshots({ pageToken, pageSize: PAGE_SIZE });
      for (const name of page.damagedSnapshots) this.logToStderr(`damaged: ${name}`);
      return { items: page.snapshots, nextPageToken: page.nextPageToken };
    });
    const rows = found.map(({ name, sequence, createTime, documentCount, sizeBytes, hook }) => ({
      ...{ name, sequence: Number(sequence), documents: Number(documentCount) },
      ...{ bytes: Number(sizeBytes), taken: isoOf(createTime) },
      ...(hook === undefined ? {} : { hook: hook.exitCode ?? 'failed' }),
    }));
    this.printRows(rows);
    return { snapshots: rows };
  }
}
