import { createActivity, type Activity } from '../domain/node/activity.ts';
import { createCallFigures, type CallFigures } from '../domain/node/call-figures.ts';
import { createIncidents, type Incidents } from '../domain/node/incidents.ts';
import type { Clock } from '../platform/clock.ts';
import { createMetrics, type Metrics, type Observe } from '../platform/metrics.ts';
import { watchProcess, type ProcessFigures } from '../platform/process-figures.ts';
import type { Logger } from '../platform/logger.ts';
import { createRecentDurations, type RecentDurations } from '../platform/durations.ts';
import type { BackgroundWork, EngineObserver } from '../storage/observer.ts';
import type { OpenAdmission } from './overload.ts';

/** What is counted from the first moment on, before there is a store to look at. */
export interface Observation {
  readonly metrics: Metrics;
  readonly calls: CallFigures;
  /** The last calls. */
  readonly activity: Activity;
  /** Gets seconds of calls, by method. */
  readonly observeCall: Observe;
  readonly storeObserver: EngineObserver;
  /** How long commits of the last minute waited for the disk. */
  readonly syncs: RecentDurations;
  readonly sweeps: { count: number; documents: number };
  readonly incidents: Incidents;
  /** Who is let in. */
  readonly admission: OpenAdmission;
  readonly process: ProcessFigures;
}

const MS_PER_SECOND = 1000;
/** Work that fails is tried again much sooner. */
const FAILURE_LOG_MS = 10_000;

/** Starts to count. `process` must be disposed. */
export function createObservation({
  clock,
  logger,
  admission,
}: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly admission: OpenAdmission;
}): Observation {
  const metrics = createMetrics({
    onFailure: (metric, error) => {
      logger.warn('a metric cannot be read; it is left out', { metric, error: String(error) });
    },
  });
  const observeCommit = metrics.histogram('molten_commit_duration_seconds');
  const observeSize = metrics.histogram('molten_commit_group_size');
  const observeSync = metrics.histogram('molten_fsync_duration_seconds');
  const syncs = createRecentDurations();
  return {
    ...{ metrics, syncs, admission, calls: createCallFigures(clock) },
    activity: createActivity(),
    observeCall: metrics.histogram('molten_rpc_duration_seconds'),
    storeObserver: {
      committed(transactions, ms) {
        observeSize(transactions);
        observeCommit(ms / MS_PER_SECOND);
      },
      synced(ms) {
        observeSync(ms / MS_PER_SECOND);
        syncs.add(ms, clock.monotonic());
      },
      failed: createFailureLog(clock, logger),
    },
    sweeps: { count: 0, documents: 0 },
    incidents: createIncidents(clock),
    process: watchProcess(),
  };
}

/** Tells why work of the store failed, and of the same work again only after a while. */
function createFailureLog(clock: Clock, logger: Logger): EngineObserver['failed'] {
  const toldAtMs = new Map<BackgroundWork, number>();
  return (work, error) => {
    const nowMs = clock.monotonic();
    if (nowMs - (toldAtMs.get(work) ?? -Infinity) < FAILURE_LOG_MS) return;
    toldAtMs.set(work, nowMs);
    logger.warn('work of the store failed; it is tried again', { work, error: String(error) });
  };
}
