/** How bad an alert is. */
export type AlertSeverity = 'warning' | 'critical';

/** What the rules look at, at one moment. Undefined: there is no such thing here. */
export interface AlertReadings {
  readonly isWritable: boolean;
  /** Since the database of the store was last heard of; undefined: the store is in a directory. */
  readonly storeLagMs: number | undefined;
  /** 0 to 1. */
  readonly diskFreeShare: number | undefined;
  readonly eventLoopDelayP99Ms: number;
  /** Of the last minute; undefined: nothing waited for the disk. */
  readonly syncP99Ms: number | undefined;
  /** For how long entries have been waiting while none was archived. */
  readonly archiveStalledMs: number | undefined;
  readonly archiveIntervalMs: number;
  /** Since the newest snapshot, or since the start when there is none; undefined: none are scheduled. */
  readonly snapshotAgeMs: number | undefined;
  /** Since the audit log last failed. */
  readonly auditFailedMs: number | undefined;
  /** Refused credentials in the last minute. */
  readonly authFailures: number;
  /** Requests turned away in the last minute, because the event loop was late. */
  readonly turnedAway: number;
}

/** What a rule finds wrong. */
export interface Finding {
  readonly severity: AlertSeverity;
  /** One sentence. */
  readonly message: string;
}

/** Finds one thing wrong, or nothing. */
export type AlertRule = (readings: AlertReadings) => Finding | undefined;

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const STORE_LAG_WARNING_MS = 2 * SECOND_MS;
/** From here on nobody is let in. */
const STORE_LAG_CRITICAL_MS = 3 * SECOND_MS;
const PERCENT = 100;
const DISK_WARNING = 0.15;
const DISK_CRITICAL = 0.05;
const LOOP_WARNING_MS = 200;
const LOOP_CRITICAL_MS = 1000;
const SYNC_WARNING_MS = 250;
const SYNC_CRITICAL_MS = 2000;
/** In intervals of the archive, at least a minute. */
const ARCHIVE_INTERVALS = 3;
const SNAPSHOT_MS = 26 * HOUR_MS;
const AUDIT_MS = MINUTE_MS;
const AUTH_FAILURES = 100;

/** Every rule by the name of its alert. */
export const ALERT_RULES: Readonly<Record<string, AlertRule>> = {
  storeReadOnly: ({ isWritable }) =>
    isWritable
      ? undefined
      : critical('writes are refused; look at the log, then at the disk or the database'),
  storeLag({ storeLagMs: ms = 0 }) {
    if (ms < STORE_LAG_WARNING_MS) return undefined;
    const message = `the database was last heard of ${(ms / SECOND_MS).toFixed(0)} s ago; look at it, and at the network`;
    return ms < STORE_LAG_CRITICAL_MS ? warning(message) : critical(message);
  },
  diskSpace({ diskFreeShare: share }) {
    if (share === undefined || share >= DISK_WARNING) return undefined;
    const message = `${(share * PERCENT).toFixed(1)} % of the disk of the store are free`;
    return share < DISK_CRITICAL ? critical(message) : warning(message);
  },
  eventLoopDelay({ eventLoopDelayP99Ms: ms }) {
    if (ms < LOOP_WARNING_MS) return undefined;
    const message = `the event loop was up to ${ms.toFixed(0)} ms late`;
    return ms < LOOP_CRITICAL_MS ? warning(message) : critical(message);
  },
  slowDisk({ syncP99Ms: ms = 0 }) {
    if (ms < SYNC_WARNING_MS) return undefined;
    const message = `commits waited up to ${ms.toFixed(0)} ms for the disk`;
    return ms < SYNC_CRITICAL_MS ? warning(message) : critical(message);
  },
  archiveLag({ archiveStalledMs: ms = 0, archiveIntervalMs }) {
    if (ms < Math.max(MINUTE_MS, ARCHIVE_INTERVALS * archiveIntervalMs)) return undefined;
    return critical(`nothing was archived for ${minutes(ms)} minutes, though there is something`);
  },
  snapshotAge({ snapshotAgeMs: ms = 0 }) {
    if (ms < SNAPSHOT_MS) return undefined;
    return warning(`there is no snapshot of the last ${(ms / HOUR_MS).toFixed(0)} hours`);
  },
  auditFailing: ({ auditFailedMs: ms = Infinity }) =>
    ms < AUDIT_MS ? critical('audit records, or their file, could not be written') : undefined,
  overload: ({ turnedAway: count }) =>
    count === 0
      ? undefined
      : critical(`${String(count)} requests were turned away for overload within a minute`),
  authFailures: ({ authFailures: count }) =>
    count < AUTH_FAILURES
      ? undefined
      : warning(`${String(count)} calls with refused credentials within a minute`),
};

function warning(message: string): Finding {
  return { severity: 'warning', message };
}

function critical(message: string): Finding {
  return { severity: 'critical', message };
}

function minutes(ms: number): string {
  return (ms / MINUTE_MS).toFixed(0);
}
