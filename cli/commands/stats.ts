import { toJson } from '@bufbuild/protobuf';

import { GetStatsResponseSchema, type RpcStats } from '../../gen/molten/v1/admin_pb.ts';
import { MoltenCommand, type ServerFlags } from '../lib/molten-command.ts';
import type { Row } from '../lib/table.ts';

/** Shows how calls do. */
export default class Stats extends MoltenCommand {
  static override readonly summary = 'Show how calls of each RPC do, and how long they take.';
  static override readonly description =
    'Times are milliseconds; those of the last minute end in `now`. With --json also the figures of the store, the watches and the process. Needs a token with the scope `system:*:*`.';
  static override readonly examples: string[] = ['<%= config.bin %> stats'];

  async run(): Promise<unknown> {
    const flags = (await this.parse(Stats)).flags as unknown as ServerFlags;
    const stats = await this.client(flags).admin.getStats({});
    this.printRows(stats.rpcs.map(toRow));
    return toJson(GetStatsResponseSchema, stats, { alwaysEmitImplicit: true });
  }
}

function toRow({ method, callCount, errorCount, latency, recentLatency, ...rest }: RpcStats): Row {
  return {
    rpc: method.replace('molten.v1.', ''),
    ...{ calls: Number(callCount), errors: Number(errorCount), now: Number(rest.recentCallCount) },
    ...{ p50: rounded(latency?.p50Ms), p99: rounded(latency?.p99Ms) },
    ...{ p50now: rounded(recentLatency?.p50Ms), p99now: rounded(recentLatency?.p99Ms) },
  };
}

function rounded(ms = 0): number {
  return Number(ms.toPrecision(3));
}
