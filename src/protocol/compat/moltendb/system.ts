/** `/snapshot`, `/system/health` and `/system/metrics`. */
import { freemem, totalmem } from 'node:os';

import { SystemService } from '../../../../gen/molten/v1/system_pb.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { RouteHandler } from './handler.ts';

export const snapshotRoute: RouteHandler = {
  forbidden: () => 'Forbidden: snapshot requires admin scope',
  async run(_request, caller) {
    await caller.call(SystemService.method.takeSnapshot, {});
    return { status: 'ok', message: 'Snapshot taken successfully' };
  },
};

export const healthRoute: RouteHandler = {
  isPublic: true,
  async run(_request, caller) {
    await caller.call(SystemService.method.getHealth, {});
    return { status: 'ok', message: 'MoltenDB is running' };
  },
};

/** Memory and uptime, as the original reports them; disks are the operating system's to tell. */
export function metricsRoute(clock: Clock): RouteHandler {
  return {
    forbidden: () => 'Admin access required',
    async run(_request, caller) {
      const status = await caller.call(SystemService.method.getStatus, {});
      const startedS = Number(status.startTime?.seconds ?? 0n);
      const total = totalmem();
      const free = freemem();
      return {
        uptime_seconds: Math.max(0, Math.floor(clock.now() / 1000) - startedS),
        process: { memory_used_bytes: Number(status.residentBytes) },
        host: {
          memory: { total_bytes: total, used_bytes: total - free, free_bytes: free },
          disks: [],
        },
        database: {
          hot_keys_count: Number(status.documentCount),
          storage_mode: status.writeMode,
          stored_bytes: Number(status.storedBytes),
        },
      };
    },
  };
}
