import type { MessageInitShape } from '@bufbuild/protobuf';

import {
  AlertSeverity as SeverityMessage,
  type AdminService,
  type BanSchema,
  type StoreStatsSchema,
} from '../../../gen/molten/v1/admin_pb.ts';
import type { AlertSeverity } from '../../domain/node/alert-rules.ts';
import type { Monitor, Stats } from '../../domain/node/monitor.ts';
import type {
  QueryBounds,
  QueryBoundsControl,
  QueryBoundsState,
} from '../../domain/quota/query-limits.ts';
import type { Ban, Bans } from '../../domain/quota/bans.ts';
import type { Durations } from '../../platform/durations.ts';
import type { ServiceImplementation } from '../call.ts';
import { toTimestamp } from '../mapping/time.ts';

const SEVERITIES = {
  warning: SeverityMessage.WARNING,
  critical: SeverityMessage.CRITICAL,
} satisfies Record<AlertSeverity, SeverityMessage>;

const PAGE_DEFAULT = 100;

/** Creates the AdminService over the domain. */
export function createAdminService(
  monitor: Monitor,
  queryBounds: QueryBoundsControl,
  bans: Bans,
): ServiceImplementation<typeof AdminService> {
  return {
    async getStats() {
      const stats = await monitor.stats();
      const { methods, runningCalls, watches, residentBytes, eventLoop } = stats;
      return {
        rpcs: methods.map(({ method, calls, errors, durations, recent }) => ({
          ...{ method, callCount: BigInt(calls), errorCount: BigInt(errors) },
          ...{ latency: toLatency(durations), recentLatency: toLatency(recent) },
          recentCallCount: BigInt(recent.count),
        })),
        runningCount: BigInt(runningCalls),
        store: toStore(stats),
        watches: {
          runningCount: BigInt(Object.values(watches.running).reduce((sum, one) => sum + one, 0)),
          endedCounts: Object.fromEntries(
            Object.entries(watches.ended).map(([reason, count]) => [reason, BigInt(count)]),
          ),
        },
        process: {
          residentBytes: BigInt(residentBytes),
          eventLoopDelayP99Ms: eventLoop.delayP99Ms,
          eventLoopUtilization: eventLoop.utilization,
        },
      };
    },
    async listAlerts() {
      return {
        alerts: monitor.alerts().map(({ rule, severity, message, raisedAtMs, clearedAtMs }) => ({
          ...{ rule, message, severity: SEVERITIES[severity], raiseTime: toTimestamp(raisedAtMs) },
          ...(clearedAtMs === undefined ? {} : { clearTime: toTimestamp(clearedAtMs) }),
        })),
      };
    },
    async listActivity({ pageSize }) {
      const calls = monitor.activity(pageSize === 0 ? PAGE_DEFAULT : pageSize);
      return { calls: calls.map(({ atMs, ...call }) => ({ ...call, time: toTimestamp(atMs) })) };
    },
    getQueryLimits: () => Promise.resolve(toQueryLimits(queryBounds.state())),
    async updateQueryLimits(request, { principal }) {
      const { rowsMax, timeMsMax, examinedMax, memoryBytesMax } = request;
      const change = {
        ...(rowsMax === undefined ? {} : { rowsMax }),
        ...(timeMsMax === undefined ? {} : { timeMsMax }),
        ...(examinedMax === undefined ? {} : { examinedMax: Number(examinedMax) }),
        ...(memoryBytesMax === undefined ? {} : { memoryBytesMax: Number(memoryBytesMax) }),
      };
      return toQueryLimits(await queryBounds.change(change, principal.subject));
    },
    async getNodeInfo() {
      const { startedAtMs, ...info } = monitor.info();
      return { ...info, startTime: toTimestamp(startedAtMs) };
    },
    async listBans({ pageSize }) {
      const all = bans.list();
      return {
        bans: all.slice(0, pageSize === 0 ? PAGE_DEFAULT : pageSize).map(toBan),
        banCount: all.length,
      };
    },
    async clearBans({ addresses, all }) {
      return { addresses: [...(all ? bans.clearAll() : bans.clear(addresses))] };
    },
  };
}

interface ShownQueryLimits {
  readonly limits: object;
  readonly ceiling: object;
  readonly updateTime?: ReturnType<typeof toTimestamp>;
  readonly updatedBy?: string;
}

function toQueryLimits({ bounds, ceiling, changed }: QueryBoundsState): ShownQueryLimits {
  const toMessage = ({ rowsMax, timeMsMax, examinedMax, memoryBytesMax }: QueryBounds): object => ({
    ...{ rowsMax, timeMsMax },
    ...{ examinedMax: BigInt(examinedMax), memoryBytesMax: BigInt(memoryBytesMax) },
  });
  return {
    ...{ limits: toMessage(bounds), ceiling: toMessage(ceiling) },
    ...(changed && { updateTime: toTimestamp(changed.atMs), updatedBy: changed.by }),
  };
}

function toBan({ address, beganAtMs, endsAtMs, count }: Ban): MessageInitShape<typeof BanSchema> {
  const [beginTime, endTime] = [toTimestamp(beganAtMs), toTimestamp(endsAtMs)];
  return { address, beginTime, endTime, count };
}

function toStore({
  health,
  head,
  engine,
  syncs,
  disk,
}: Stats): MessageInitShape<typeof StoreStatsSchema> {
  return {
    ...{ sequence: head.sequence, durableSequence: head.durableSequence },
    floorSequence: head.oldest,
    storedBytes: BigInt(health.storedBytes),
    historyBytes: BigInt(health.historyBytes),
    queuedBytes: BigInt(health.queuedBytes),
    commitCount: BigInt(engine.commits),
    syncLatency: toLatency(syncs),
    cacheHitCount: BigInt(engine.cacheHits),
    cacheMissCount: BigInt(engine.cacheMisses),
    cachedDocumentCount: BigInt(engine.cachedDocuments),
    cachedBytes: BigInt(engine.cachedBytes),
    cachedBytesMax: BigInt(engine.cachedBytesMax),
    readerQueueCount: BigInt(engine.readers.reduce((sum, { waiting }) => sum + waiting, 0)),
    diskFreeBytes: BigInt(disk?.freeBytes ?? 0),
    diskSizeBytes: BigInt(disk?.sizeBytes ?? 0),
  };
}

function toLatency(durations: Durations): {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
} {
  return {
    p50Ms: durations.quantile(0.5),
    p95Ms: durations.quantile(0.95),
    p99Ms: durations.quantile(0.99),
  };
}
