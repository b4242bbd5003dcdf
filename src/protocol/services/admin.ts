import type { MessageInitShape } from '@bufbuild/protobuf';

import {
  AlertSeverity as SeverityMessage,
  type AdminService,
  type StoreStatsSchema,
} from '../../../gen/molten/v1/admin_pb.ts';
import type { AlertSeverity } from '../../domain/node/alert-rules.ts';
import type { Monitor, Stats } from '../../domain/node/monitor.ts';
import type { Durations } from '../../platform/durations.ts';
import type { ServiceImplementation } from '../call.ts';
import { toTimestamp } from '../mapping/time.ts';

const SEVERITIES = {
  warning: SeverityMessage.WARNING,
  critical: SeverityMessage.CRITICAL,
} satisfies Record<AlertSeverity, SeverityMessage>;

const ACTIVITY_DEFAULT = 100;

/** Creates the AdminService over the domain. */
export function createAdminService(monitor: Monitor): ServiceImplementation<typeof AdminService> {
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
      const calls = monitor.activity(pageSize === 0 ? ACTIVITY_DEFAULT : pageSize);
      return { calls: calls.map(({ atMs, ...call }) => ({ ...call, time: toTimestamp(atMs) })) };
    },
    async getNodeInfo() {
      const { startedAtMs, ...info } = monitor.info();
      return { ...info, startTime: toTimestamp(startedAtMs) };
    },
  };
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
