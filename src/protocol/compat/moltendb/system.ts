/** `/snapshot`, `/system/health` and `/system/metrics`. */
import { freemem, totalmem } from 'node:os';

import { AdminService } from '../../../../gen/molten/v1/admin_pb.ts';
import { OperationService, OperationState } from '../../../../gen/molten/v1/operations_pb.ts';
import { SnapshotService } from '../../../../gen/molten/v1/snapshots_pb.ts';
import { SystemService } from '../../../../gen/molten/v1/system_pb.ts';
import type { Clock } from '../../../platform/clock.ts';
import { findMount, readDisk } from '../../../platform/disk.ts';
import type { Caller } from '../../caller.ts';
import type { RouteHandler } from './handler.ts';
import { Refusal } from './refusal.ts';

export const snapshotRoute: RouteHandler = {
  forbidden: () => 'Forbidden: snapshot requires admin scope',
  async run(_request, caller) {
    const started = await caller.call(SnapshotService.method.createSnapshot, {});
    await untilTaken(caller, started.operation?.id ?? '');
    return { status: 'ok', message: 'Snapshot taken successfully' };
  },
};

/** The original answers when the snapshot is there. */
async function untilTaken(caller: Caller, operation: string): Promise<void> {
  const { waitOperation } = OperationService.method;
  for (;;) {
    const { operation: now } = await caller.call(waitOperation, { operation });
    if (now?.state === OperationState.SUCCEEDED) return;
    if (now?.state !== OperationState.RUNNING) throw new Refusal('The snapshot failed', 500);
  }
}

export const healthRoute: RouteHandler = {
  isPublic: true,
  async run(_request, caller) {
    await caller.call(SystemService.method.getHealth, {});
    return { status: 'ok', message: 'MoltenDB is running' };
  },
};

/** What the route of metrics needs. */
export interface MetricsRouteOptions {
  readonly clock: Clock;
  /** Where the store is. */
  readonly directory: string;
}

/** Memory, uptime and the disk of the store, as the original reports them. */
export function metricsRoute({ clock, directory }: MetricsRouteOptions): RouteHandler {
  return {
    forbidden: () => 'Admin access required',
    async run(_request, caller) {
      const status = await caller.call(SystemService.method.getStatus, {});
      const { store } = await caller.call(AdminService.method.getStats, {});
      const startedS = Number(status.startTime?.seconds ?? 0n);
      const total = totalmem();
      const free = freemem();
      return {
        uptime_seconds: Math.max(0, Math.floor(clock.now() / 1000) - startedS),
        process: { memory_used_bytes: Number(status.residentBytes) },
        host: {
          memory: { total_bytes: total, used_bytes: total - free, free_bytes: free },
          disks: await disksOf(directory),
        },
        database: {
          hot_keys_count: Number(store?.cachedDocumentCount ?? 0n),
          storage_mode: status.writeMode,
          stored_bytes: Number(status.storedBytes),
        },
      };
    },
  };
}

/** The disk that a store in a directory fills; none for a store in a database, which fills another machine's. */
async function disksOf(directory: string): Promise<readonly object[]> {
  const [mount, disk] = await Promise.all([findMount(directory), readDisk(directory)]);
  if (mount === undefined || disk === undefined) return [];
  const { sizeBytes, usedBytes, freeBytes } = disk;
  return [
    {
      ...{ mount, total_bytes: sizeBytes },
      ...{ used_bytes: usedBytes, available_bytes: freeBytes },
    },
  ];
}
